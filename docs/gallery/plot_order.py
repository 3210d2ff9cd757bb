"""
Bond-orientational order
========================

The order parameters of each atom, beside those of ideal lattices.
"""

import stemdask as sd

tree = sd.open_results("stemdask-demo/atoms.zarr")
tree.stemdask.plot.order(frame=0)
