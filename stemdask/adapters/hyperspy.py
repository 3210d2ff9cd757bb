"""A frame with its columns as a HyperSpy signal."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from stemdask.model import ImageFrame

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#F0E442")


def signal(frame: ImageFrame, columns: xr.Dataset | None = None) -> Any:
    """Return a ``Signal2D`` with the calibration of a frame, and its columns as permanent markers.

    Parameters
    ----------
    frame
        The image.
    columns
        ``/columns`` of the frame: `y`, `x` in the units of the frame, and `sublattice` where there is one.
    """
    import hyperspy.api as hs

    units = "nm" if frame.calibrated else "pixel"
    axes = [
        {"name": name, "size": size, "scale": scale, "offset": offset, "units": units}
        for name, size, scale, offset in zip("yx", frame.pixels.shape, frame.pixel_size, frame.offset, strict=True)
    ]
    image = hs.signals.Signal2D(frame.pixels, axes=axes)
    if columns is not None:
        kinds = columns["sublattice"].values if "sublattice" in columns else np.zeros(columns.sizes["column"], int)
        places = np.column_stack([columns["x"].values, columns["y"].values])
        for kind in np.unique(kinds):
            chosen = places[(kinds == kind) & np.isfinite(places).all(axis=1)]
            if len(chosen):
                points = hs.plot.markers.Points(chosen, sizes=4, color=_COLOURS[kind % len(_COLOURS)])
                image.add_marker(points, permanent=True, plot_marker=False)
    return image
