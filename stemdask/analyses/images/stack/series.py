"""A series of one area: the columns of its sites followed through all frames."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter

from stemdask.analyses.images.stack import registration, sites
from stemdask.errors import FrameError
from stemdask.kernels.images.finding.columns import Columns
from stemdask.kernels.images.finding.separation import LatticeVectors
from stemdask.kernels.images.fitting.column_model import KnownShape
from stemdask.kernels.images.stacks.drift import UNRELATED
from stemdask.kernels.images.stacks.pixel_grid import PixelGrid
from stemdask.model import Array, ImageFrame

#: Columns beyond the border of a frame are still handed on within this many of their distances: their tails reach in.
_REACH = 1.5
#: Part of the pixels around a column that must have a value.
_LEAST_SEEN = 0.9


class Expected(NamedTuple):
    """The columns of the series that lie in or next to a frame."""

    columns: Columns
    """On the frame's pixels."""
    site: Array
    """(n,), the number of the site of each of `columns.positions`."""
    n_sites: int
    shape: KnownShape
    """How they deviate from a Gaussian, on the frame's pixels."""


def expected_columns(frame: ImageFrame, pixels: Array, grid: PixelGrid) -> Expected | None:
    """Return where the columns of the series should be in a frame; None if the run has no series.

    Parameters
    ----------
    frame
        With its registration in `results`.
    pixels
        What is looked at; missing pixels are NaN.
    grid
        Where they lie in the frame.

    Raises
    ------
    FrameError
        The frame doesn't show the area, so that the positions of its columns are unknown.
    """
    if sites.Y not in frame or len(frame[sites.Y]) == 0:
        return None
    shift = np.array([frame[registration.SHIFT_Y], frame[registration.SHIFT_X]], dtype=np.float64)
    least = UNRELATED * float(frame[registration.USUAL_QUALITY])
    quality = float(frame[registration.QUALITY])
    if np.isnan(quality):
        raise FrameError("the frame is blank", where="columns", remedy="Look at the frame in its file")
    if not np.isfinite(shift).all() or quality < least:
        raise FrameError(
            "the frame doesn't show the area of the series, so its columns can't be followed",
            where="columns",
            value=f"correlation {quality:.2f} with the average",
            allowed=f"{least:.2f} or more",
            remedy="If the frames show different areas, set registration.mode to independent",
        )
    sublattice, grain, i, j = (frame[variable] for variable in (sites.SUBLATTICE, sites.GRAIN, sites.I, sites.J))
    scale = np.asarray(frame.pixel_size)
    nm = float(np.prod(scale)) ** 0.5 * abs(float(np.linalg.det(grid.matrix))) ** 0.5
    place = grid.from_source((np.column_stack([frame[sites.Y], frame[sites.X]]) + shift - frame.offset) / scale)
    distance = float(frame[sites.DISTANCE]) / nm
    last = np.array(pixels.shape) - 1

    def within(margin: float) -> Array:
        return np.asarray(((place >= margin) & (place <= last - margin)).all(axis=1))

    near = within(-_REACH * distance)
    index = np.flatnonzero(near & (i != sites.BEYOND))
    ghosts = near & (i == sites.BEYOND)
    widths = np.ones(int(grain.max()) + 1)
    widths[grain] = frame[sites.SIGMA] / nm
    a, b = frame[sites.VECTORS] @ (np.linalg.inv(grid.matrix).T / scale[:, None])
    columns = Columns(
        positions=place[index],
        sublattice=sublattice[index],
        i=i[index],
        j=j[index],
        grain=grain[index],
        interior=within(0.5 * distance)[index] & _seen(pixels, place[index], distance),
        ghosts=place[ghosts],
        ghost_sublattice=sublattice[ghosts],
        ghost_grain=grain[ghosts],
        vectors=LatticeVectors(a, b, float(frame[sites.CONFIDENCE])),
        distance=distance,
        widths=widths,
        too_faint=frame[sites.TOO_FAINT],
        left_out=np.empty((0, 2)),
    )
    return Expected(columns, index, int(np.count_nonzero(i != sites.BEYOND)), _turned(frame[sites.SHAPE], grid))


def _turned(shape: Array, grid: PixelGrid) -> KnownShape:
    """Return a shape (4,) on a grid that may be turned; coma has a direction."""
    known = KnownShape(*shape.tolist())
    turn = np.linalg.inv(grid.matrix) * abs(float(np.linalg.det(grid.matrix))) ** 0.5
    coma_y, coma_x = (turn @ known.terms[1:]).tolist()
    return known._replace(coma_y=coma_y, coma_x=coma_x)


def _seen(pixels: Array, places: Array, distance: float) -> Array:
    """Tell which places have hardly a missing pixel around them."""
    valid = np.isfinite(pixels)
    if valid.all():
        return np.ones(len(places), dtype=bool)
    part = uniform_filter(valid.astype(np.float32), max(3, round(distance)), mode="nearest")
    at = np.clip(np.rint(places).astype(np.int64), 0, np.array(pixels.shape) - 1)
    return np.asarray(part[at[:, 0], at[:, 1]] >= _LEAST_SEEN)


def spread(values: Array, site: Array, n_sites: int) -> Array:
    """Return values (n, ...) of some sites as an array of all of them: NaN (or -1) for the others."""
    full = np.full((n_sites, *values.shape[1:]), np.nan if values.dtype.kind == "f" else -1, dtype=values.dtype)
    full[site] = values
    return full
