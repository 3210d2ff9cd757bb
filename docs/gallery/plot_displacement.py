"""
Displacement map
================

Ti moves by 20 pm: to the right in the left half of the image, downwards in the right half. Cells whose displacement is
within its error are drawn in grey.
"""

import stemdask as sd

tree = sd.open_results("stemdask-demo/images.zarr")
tree.stemdask.plot.displacement(frame=0)
