"""
Columns on their image
======================

The fitted atomic columns of a frame, coloured by sublattice.
"""

import stemdask as sd

tree = sd.open_results("stemdask-demo/images.zarr")
tree.stemdask.plot.columns(frame=0)
