"""
Pair distribution
=================

g(r) of a nanocrystal, with the first minimum from which the neighbours follow.
"""

import stemdask as sd

tree = sd.open_results("stemdask-demo/atoms.zarr")
tree.stemdask.plot.rdf(frame=0)
