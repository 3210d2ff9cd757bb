"""Scores of images: how well a choice explains them, and how far it can be trusted.

A low residual and a low scatter prove nothing: a shape that is free to be odd lowers both, and may turn the mean
displacement round. So each choice is also checked against

* invariance: columns of a part of the image lie where they lie in the whole;
* known truth: a twin of the image, drawn from the columns found in it, with the image's own residual, whose sign is
  changed at random from patch to patch (wild bootstrap: C. F. J. Wu, Ann. Statist. 14, 1261 (1986)). The choice must
  find what was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from stemdask.analyses import chain
from stemdask.analyses.evaluation import FrameResult
from stemdask.analyses.images.cells import displacement
from stemdask.analyses.images.columns import columns, lattice
from stemdask.analyses.images.stack.pixels import pixels_of
from stemdask.analyses.images.stack.preprocess import PreprocessParams
from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.finding.separation import SHORTEST
from stemdask.kernels.images.fitting.drawing import draw_columns
from stemdask.kernels.images.fitting.ellipses import precision_of
from stemdask.kernels.images.stacks.scan_distortion import lattice_residuals
from stemdask.model import Array, ImageFrame, Step
from stemdask.planning.trial import loaded
from stemdask.tuning.frames import pack
from stemdask.tuning.scores import Measure
from stemdask.units import Length

#: Longest side that is looked at, px: the middle of larger images.
MOST = 700
#: Part of the longer side that is left of a part of the image, at either end.
_PART = 2 / 3
#: Columns or cells that are the same in two images lie so near, in distances between them; fewer than so many of them
#: tell nothing, and an error is known where so many of those drawn were found.
_SAME, _FEWEST, _FINDS = 0.3, 8, 0.9

COLUMNS = Measure("columns", "columns", "columns that could be measured")
CHI2 = Measure("chi2", "χ²", "reduced chi-squared around the columns, median")
REGULARITY = Measure("regularity", "regularity / {unit}", "scatter of A about its lattice, which may bend slowly")
AGREEMENT = Measure("agreement", "agreement / {unit}", "scatter of displacements from cell to cell")
SHIFT = Measure("shift", "shift by crop / {unit}", "what the same columns or cells move by in a part of the image")
ERROR = Measure("error", "error / {unit}", "RMS distance from the truth in a twin of the image, whose truth is known")
#: Side of the patches of a twin at most, px.
_WIDEST_PATCH = 4
MEASURES = (COLUMNS, CHI2, REGULARITY, AGREEMENT, SHIFT, ERROR)
#: Separations that are tried where the config gives no range, in shortest lattice vectors found; step through a range.
_SEPARATIONS, _STEP = (0.5, 0.5**0.5, 2**0.5, 2.0), 1.2


class Standards(NamedTuple):
    """What candidates are checked against in one image."""

    frames: list[ImageFrame]
    """Parts of it, and last its twin."""
    truth: Found
    """What is in the twin."""
    calibrated: bool
    """Whether lengths are in nm, or in px."""


class Found(NamedTuple):
    """What a candidate found in an image, in nm or in px where there is no pixel size."""

    columns: Floats
    """(n, 2), (y, x) of those that could be measured."""
    cells: Floats
    """(m, 2), (y, x)."""
    displacement: Floats
    """(m, 2), (u, v)."""

    @classmethod
    def of(cls, values: Mapping[str, Array]) -> Found:
        """Return what a chain of analyses found."""
        of_lattice = values[lattice.SUBLATTICE.path] >= 0
        places = np.column_stack([values[columns.Y.path], values[columns.X.path]])[of_lattice]
        if displacement.U.path not in values:
            return cls(places, np.empty((0, 2)), np.empty((0, 2)))
        cells = np.column_stack([values[displacement.Y.path], values[displacement.X.path]])
        moved = np.column_stack([values[displacement.U.path], values[displacement.V.path]])
        known = np.isfinite(moved).all(axis=1)
        return cls(places, cells[known], 1e-3 * moved[known])

    def differences(self, truth: Found) -> Floats:
        """Return (k, 2), how far displacements differ from those of the same cells of another.

        Without displacements, how far columns do, but for what all have in common, which is no difference of them.
        """
        if len(truth.cells) >= _FEWEST:
            own, other = _same(self.cells, truth.cells)
            return np.asarray(self.displacement[own] - truth.displacement[other])
        own, other = _same(self.columns, truth.columns)
        moved = self.columns[own] - truth.columns[other]
        return np.asarray(moved - np.median(moved, axis=0) if len(moved) else moved)


def _same(own: Floats, other: Floats) -> tuple[Array, Array]:
    """Return which places of two sets are the same."""
    if len(own) < 2 or len(other) < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    tree = cKDTree(own)
    apart = float(np.median(tree.query(own, k=2)[0][:, 1]))
    distance, which = tree.query(other, distance_upper_bound=_SAME * apart)
    near = np.isfinite(distance)
    return which[near], np.flatnonzero(near)


def frame_of(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the pixels of a frame on which columns are measured, behind the fence; of a large one the middle."""
    frame = loaded().source.read(given["index"])
    assert isinstance(frame, ImageFrame)
    chain.analyse("images", loaded().steps, frame)
    pixels, _, grid = pixels_of(frame)
    finer = abs(float(np.linalg.det(grid.matrix))) ** 0.5
    dy, dx = (finer * length for length in frame.pixel_size)
    middle = tuple(slice(max(0, (n - MOST) // 2), max(0, (n - MOST) // 2) + MOST) for n in pixels.shape)
    return pack(ImageFrame(0, np.ascontiguousarray(pixels[middle]), (dy, dx), calibrated=frame.calibrated))


def of_prepared(step: Step) -> Step:
    """Return a step for pixels that are prepared already: what is left are the filters by which columns are found."""
    params = step.params
    if not isinstance(params, PreprocessParams):
        return step
    filters = {
        name: Length(length.value * params.upsample, length.unit) if length.unit == "px" else length
        for name in ("flatten", "smooth")
        if (length := getattr(params, name)) is not None and params.measure_on == "raw"
    }
    return Step(step.name, PreprocessParams(**filters))


def parts(frame: ImageFrame) -> Iterator[ImageFrame]:
    """Yield both ends of an image along its longer side; their coordinates are those of the image."""
    axis = int(np.argmax(frame.pixels.shape))
    n = frame.pixels.shape[axis]
    kept = int(_PART * n)
    for first in (0, n - kept):
        pixels = np.ascontiguousarray(np.take(frame.pixels, range(first, first + kept), axis=axis))
        offset = [float(start) for start in frame.offset]
        offset[axis] += first * frame.pixel_size[axis]
        yield replace(frame, pixels=pixels, offset=(offset[0], offset[1]), results={})


def twin(frame: ImageFrame, values: Mapping[str, Array]) -> ImageFrame:
    """Return an image in which the columns are known to be where they were found in another.

    Parameters
    ----------
    frame
        The other image, as it was fitted.
    values
        What was found in it, by path.
    """
    scale = np.asarray(frame.pixel_size)
    asymmetry = np.array([float(values[v.path]) for v in columns.ASYMMETRY])
    places = np.column_stack([values[columns.Y.path], values[columns.X.path]]) - asymmetry - frame.offset
    height, major, minor, turned, below = (values[v.path].astype(float) for v in columns.DRAWN)
    good = np.isfinite(np.column_stack([places, height, major, minor, turned, below])).all(axis=1) & (minor > 0)
    pixel = float(np.sqrt(np.prod(scale)))
    precision = precision_of(major[good] / pixel, minor[good] / pixel, np.deg2rad(turned[good]))
    terms = np.array([float(values[v.path]) for v in columns.SHAPE])
    shape = (frame.pixels.shape[0], frame.pixels.shape[1])
    model = draw_columns(
        shape, places[good] / scale, height[good], precision, below[good], terms, float(values[columns.HALO.path])
    )
    residual = frame.pixels - model
    side = _patch(residual)
    patches = np.random.default_rng(0).choice([-1.0, 1.0], [n // side + 1 for n in shape])
    sign = np.kron(patches, np.ones((side, side)))[: shape[0], : shape[1]]
    pixels = np.where(np.isfinite(model), model + sign * residual, frame.pixels).astype(frame.pixels.dtype)
    return replace(frame, pixels=pixels, results={})


def _patch(residual: Floats) -> int:
    """Return over how many pixels a residual is alike: as far as neighbours along x correlate by half or more.

    The residual of a whole column knows nothing of where it is, whatever its sign: patches are smaller than columns.
    """
    known = residual - np.nanmean(residual)
    variance = float(np.nanmean(known**2))
    lags = range(1, _WIDEST_PATCH)
    alike = [float(np.nanmean(known[:, lag:] * known[:, :-lag])) >= 0.5 * variance for lag in lags]
    return 1 + (alike.index(False) if False in alike else len(alike))


def standards(frame: ImageFrame, values: Mapping[str, Array]) -> Standards:
    """Return both parts of an image and a twin of it, drawn from what was found in it, and what is in the twin."""
    return Standards([*parts(frame), twin(frame, values)], Found.of(values), frame.calibrated)


def measured(whole: FrameResult, given: Standards, results: Sequence[FrameResult]) -> dict[str, float]:
    """Return the measures of a candidate in one frame.

    Parameters
    ----------
    whole
        What it found in the image.
    given, results
        What it is checked against, and what it found there.
    """
    values, found = whole.values, Found.of(whole.values)
    *of_parts, of_twin = results
    moved = [Found.of(part.values).differences(found) for part in of_parts if part.is_done]
    far = np.concatenate([np.empty((0, 2)), *moved])
    error = Found.of(of_twin.values).differences(given.truth) if of_twin.is_done else np.empty((0, 2))
    every = max(len(given.truth.cells), len(given.truth.columns) if len(given.truth.cells) < _FEWEST else 0)
    knows = len(error) >= max(_FEWEST, _FINDS * every)
    length = 1e3 if given.calibrated else 1.0
    return {
        COLUMNS.name: float(len(found.columns)),
        CHI2.name: _median(values[columns.REDUCED_CHI2.path]),
        REGULARITY.name: length * _regularity(values),
        AGREEMENT.name: length * 1e-3 * float(values.get(displacement.NOISE_FLOOR.path, np.array(np.nan))),
        SHIFT.name: length * float(np.median(np.hypot(*far.T))) if len(far) >= _FEWEST else np.nan,
        ERROR.name: length * float(np.sqrt(np.mean(np.sum(error**2, axis=1)))) if knows else np.nan,
    }


def _regularity(values: Mapping[str, Array]) -> float:
    of = (values[lattice.SUBLATTICE.path] == 0) & (values[lattice.GRAIN.path] == 0)
    places = np.column_stack([values[columns.Y.path], values[columns.X.path]])[of]
    residual = lattice_residuals(places, values[lattice.I.path][of], values[lattice.J.path][of])
    return float(np.sqrt(_median(np.sum(residual**2, axis=1))))


def _median(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def found_candidates(
    steps: Sequence[Step], frame: ImageFrame, values: Mapping[str, Array]
) -> Iterator[tuple[str, str]]:
    """Yield other separations: those in the config's range, or multiples of the lattice vector that was found."""
    params = next(step.params for step in steps if step.name == "columns")
    assert isinstance(params, columns.ColumnsParams)
    if params.vectors is not None:
        return
    pixel = float(np.sqrt(np.prod(frame.pixel_size)))
    if isinstance(params.separation, tuple):
        least, most = (length.px(pixel) for length in params.separation)
        steps_through = np.geomspace(least, most, 1 + max(1, round(np.log(most / least) / np.log(_STEP))))
        lengths = [float(length) for length in steps_through]
    else:
        vectors = ((lattice.A_Y, lattice.A_X), (lattice.B_Y, lattice.B_X))
        shortest = min(float(np.hypot(values[y.path], values[x.path])) for y, x in vectors) / pixel
        lengths = [shortest * factor for factor in _SEPARATIONS]
    for length in lengths:
        if length >= SHORTEST:
            yield "columns.separation", f"{length:.1f} px"
