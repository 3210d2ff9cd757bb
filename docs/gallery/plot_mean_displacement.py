"""
Numbers with xarray alone
=========================

The store opens without stemdask. Here the mean displacement of the cells on either side of the wall is drawn for every
frame, with its standard error.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

tree = xr.open_datatree("stemdask-demo/images.zarr", engine="zarr")
cells = tree["displacement"].to_dataset()

fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
for axis, side in zip(axes, ("left", "right"), strict=True):
    here = cells.x < 3.4 if side == "left" else cells.x > 4.2
    for name, label in (("u", "right"), ("v", "down")):
        chosen = cells[name].where(here)
        error = chosen.std("cell") / np.sqrt(chosen.count("cell"))
        axis.errorbar(cells.frame, chosen.mean("cell"), error, fmt="o", label=label)
    axis.set(title=f"{side} of the wall", xlabel="frame")
axes[0].set_ylabel("mean displacement [pm]")
axes[0].legend()
