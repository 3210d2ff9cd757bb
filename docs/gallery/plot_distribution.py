"""
Distribution of displacements
=============================

One point per cell. The two domains are two clouds, each as wide as the errors of single cells.
"""

import stemdask as sd

tree = sd.open_results("stemdask-demo/images.zarr")
tree.stemdask.plot.distribution(frame=0)
