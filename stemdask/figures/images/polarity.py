"""An image whose contrast is doubtful, both ways: what would be columns if they were bright, and if they were dark."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from stemdask.figures.style import SUBLATTICES, new, style
from stemdask.kernels.images.finding.columns import find_columns
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.model import Array

#: Side of what is drawn: its middle, so large that single columns can be told, px.
_SIDE = 256


def both_contrasts(pixels: Array) -> Figure:
    """Draw the middle of an image twice, with what is found where columns are taken as bright and as dark.

    Parameters
    ----------
    pixels
        (ny, nx).
    """
    top, left = (max(0, (side - _SIDE) // 2) for side in pixels.shape)
    shown = pixels[top : top + _SIDE, left : left + _SIDE]
    low, high = np.nanpercentile(shown, (0.5, 99.5))
    with style():
        figure, axes = new(9.0, 4.8, 1, 2, sharex=True, sharey=True)
        for one, sign, name, key in ((axes[0], 1, "bright", "false"), (axes[1], -1, "dark", "true")):
            one.imshow(shown, cmap="gray", vmin=low, vmax=high)
            one.set(title=f"Columns are {name}: input.invert: {key}", xlabel="x / px", ylabel="y / px")
            try:
                found = find_columns(sign * shown)
            except NoLatticeError:
                continue
            size = (0.35 * found.distance * 4.0 * 72 / max(shown.shape)) ** 2
            one.scatter(*found.positions.T[::-1], s=size, facecolors="none", edgecolors=SUBLATTICES[1], linewidths=1)
    return figure
