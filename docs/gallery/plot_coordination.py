"""
Coordination
============

How many neighbours the atoms of a nanocrystal have.
"""

import stemdask as sd

tree = sd.open_results("stemdask-demo/atoms.zarr")
tree.stemdask.plot.coordination(frame=0)
