"""The sites of a series: the columns of all that its frames show, found once on their average."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stemdask.analyses.images.columns import gate
from stemdask.analyses.images.stack import preprocess, registration
from stemdask.errors import FrameError, StemdaskError
from stemdask.kernels.images.finding.columns import MAX_SUBLATTICES, Columns
from stemdask.kernels.images.finding.quality import assess
from stemdask.kernels.images.finding.tails import judge_faint
from stemdask.kernels.images.fitting.column_fit import ColumnFit
from stemdask.kernels.images.fitting.column_model import KnownShape
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.stacks.filters import invert
from stemdask.model import Array, ImageFrame, Variable

#: Index of a site beyond the area, whose column only reaches into it.
BEYOND = -1


def _site(name: str, dims: tuple[str, ...], dtype: str, units: str, long_name: str) -> Variable:
    return Variable(f"columns/site_{name}", dims, dtype, units, long_name, stage="prepare")


_SITE = ("site",)
Y = _site("y", _SITE, "float64", "nm", "column of the average along y")
X = _site("x", _SITE, "float64", "nm", "column of the average along x")
SUBLATTICE = _site("sublattice", _SITE, "int8", "1", "its sublattice")
GRAIN = _site("grain", _SITE, "int8", "1", "its grain")
I = _site("i", _SITE, "int32", "1", "its cell along a, -1 beyond the area")  # noqa: E741
J = _site("j", _SITE, "int32", "1", "its cell along b, -1 beyond the area")
SIGMA = _site("sigma", _SITE, "float64", "nm", "standard deviation of the columns, roughly")
VECTORS = _site("vectors", ("vector", "axis"), "float64", "nm", "lattice vectors a and b as (y, x)")
DISTANCE = _site("distance", (), "float64", "nm", "shortest distance of columns")
CONFIDENCE = _site("confidence", (), "float64", "1", "confidence in the lattice of the average")
SHAPE = _site("shape", ("term",), "float64", "1", "shape of the columns: kurtosis, coma y, coma x, halo")
TOO_FAINT = _site("too_faint", ("faint",), "float64", "1", "heights of columns that show in the mean cell alone")
#: There are none where the average shows no columns of a crystal, or the frames show different areas.
SITES = (Y, X, SUBLATTICE, GRAIN, I, J, SIGMA, VECTORS, DISTANCE, CONFIDENCE, SHAPE, TOO_FAINT)


def find_sites(
    frames: Sequence[ImageFrame], find: Callable[[Array, float, Array, int | None], Columns], sublattices: int | None
) -> dict[str, Array]:
    """Find the columns of the average of a stack, which reaches as far as any frame: some enter the field later.

    Parameters
    ----------
    frames
        With what the registration prepared.
    find
        Finds columns on the average with its pixel size, nm, and the place (2,), px, of its first pixel in a frame that
        has not drifted, of at most so many sublattices, or raises FrameError.
    sublattices
        Most sublattices that the user expects; None to leave out those that are where tails of others meet.
    """
    frame = any_of(frames)
    average, first = frame[registration.AREA_IMAGE], frame[registration.AREA_FIRST]
    dark = bool(frame.get(preprocess.INVERTED, np.asarray(False)))
    if dark:
        average = invert(average).astype(np.float32)
    scale, nm = np.asarray(frame.pixel_size), float(np.prod(frame.pixel_size)) ** 0.5
    none = np.zeros(0)
    try:
        if not average.size:
            raise FrameError("the frames show different areas", where="registration")
        found = find(average, nm, first, sublattices)
        fit = _fitted(average, found)
        faint = judge_faint(average, found, fit)
        if sublattices is None and faint.are_tails:
            found = find(average, nm, first, int(faint.kinds.min()))
            fit = _fitted(average, found)
        gate.refuse(assess(found, fit, average, dark=dark))
    except FrameError:
        sites = dict.fromkeys((Y, X, SUBLATTICE, GRAIN, I, J, SIGMA), none)
        sites |= {VECTORS: np.full((2, 2), np.nan), DISTANCE: np.array(np.nan), CONFIDENCE: np.array(0.0)}
        sites |= {SHAPE: np.zeros(len(KnownShape._fields)), TOO_FAINT: none}
    else:
        good = fit.good & np.isfinite(fit.positions).all(axis=1)
        positions = np.where(good[:, None], fit.positions, np.concatenate([found.positions, found.ghosts]))
        place = (positions + first) * scale + frame.offset
        sublattice = np.concatenate([found.sublattice, found.ghost_sublattice])
        beyond = np.full(len(found.ghosts), BEYOND)
        sites = {
            Y: place[:, 0],
            X: place[:, 1],
            SUBLATTICE: sublattice,
            GRAIN: np.concatenate([found.grain, found.ghost_grain]),
            I: np.concatenate([found.i, beyond]),
            J: np.concatenate([found.j, beyond]),
            SIGMA: found.widths[np.concatenate([found.grain, found.ghost_grain])] * nm,
            VECTORS: np.stack([found.vectors.a, found.vectors.b]) * scale,
            DISTANCE: np.array(found.distance * nm),
            CONFIDENCE: np.array(found.vectors.confidence),
            SHAPE: np.array(KnownShape.of(fit)),
            TOO_FAINT: found.too_faint,
        }
    return {variable.path: sites[variable].astype(variable.dtype) for variable in SITES}


def any_of(frames: Sequence[ImageFrame]) -> ImageFrame:
    """Return a frame that can be read; the run gives the others their status and reason."""
    for index in range(len(frames)):
        try:
            return frames[index]
        except StemdaskError:
            continue
    raise StemdaskError("no frame of the stack can be read", where="columns")


def _fitted(average: Array, found: Columns) -> ColumnFit:
    """Fit columns and ghosts to the average.

    At low dose a fit of one frame leans on its start, so an error of the start would be the same in every frame.
    """
    start = np.concatenate([found.positions, found.ghosts])
    grain = np.concatenate([found.grain, found.ghost_grain])
    kind = np.maximum(np.concatenate([found.sublattice, found.ghost_sublattice]), 0) + MAX_SUBLATTICES * grain
    held = np.repeat([False, True], [len(found.positions), len(found.ghosts)])
    return fit_joint(average, start, kind, np.repeat(found.widths, MAX_SUBLATTICES), held=held)
