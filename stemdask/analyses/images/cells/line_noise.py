"""What the scan did to the columns of a frame: shifts that those on one of its lines share."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from stemdask.analyses.images.columns import columns, lattice
from stemdask.analyses.images.columns.scan_distortion import positions_of
from stemdask.kernels.images.crystal.lattice import fit_lattice
from stemdask.kernels.images.crystal.line_noise import LineNoise
from stemdask.kernels.images.crystal.row_response import MeanCell, row_response
from stemdask.kernels.images.crystal.shared_shifts import LAGS, Lines, SharedShifts, shared_shifts
from stemdask.kernels.images.fitting.ellipses import precision_of
from stemdask.model import Array, ImageFrame

_PM = 1e3
#: The variance of shifts of so many lines is known to so many standard errors.
_UNSURE = 2.0
#: A framework of fewer lines, less those that its bend takes, doesn't tell their shifts.
_FEWEST = 4.0


def line_noise(frame: ImageFrame, framework: int, displaced: int) -> LineNoise:
    """Return what columns have in common where they lie on one line of the scan, pm.

    Rows of the image are its lines, unless columns on one vertical line share more: a scan may be turned by 90 degrees.

    Parameters
    ----------
    frame
        With its columns and their lattice.
    framework, displaced
        Numbers of the sublattices that tell; of the second there may be no columns.
    """
    positions = _PM * positions_of(frame)
    sublattice, grain = frame[lattice.SUBLATTICE], frame[lattice.GRAIN]
    kinds, cell, width = _mean_cell(frame, positions)
    if framework not in kinds:
        return LineNoise.none(np.nan_to_num(positions[:, 0]))
    usual = kinds.index(framework)
    response = [row_response(cell, across, usual) for across in (1, 0)]
    area = float(np.prod(frame.pixels.shape)) * float(np.prod(frame.pixel_size)) * _PM**2
    apart = float(np.sqrt(area / max(int((sublattice == framework).sum()), 1)))
    indices = frame[lattice.I], frame[lattice.J]

    kind = np.full(len(sublattice), usual)  # a kind of which too little is known moves as the framework does
    for number, of in enumerate(kinds):
        kind[sublattice == of] = number

    def told(places: tuple[Array, Array], part: Array, slow: int, of_all: Array | None = None) -> SharedShifts:
        counts = np.bincount(kind[part], minlength=len(kinds))
        alike = response[slow].alike(int(np.argmax(counts)), width[usual] * LAGS)
        lines = Lines(slow, width[usual], apart, alike)
        found = shared_shifts(positions, *places, np.where(part, grain, -1), lines, of_all)
        # Shifts along the lines can move columns across them too, those of some kinds more than others.
        strength = np.tensordot(counts, [response[slow].strength(k) for k in range(len(kinds))], 1) / counts.sum()
        return found._replace(variance=nnls(strength.T, found.variance)[0])

    shared = [told(indices, sublattice == framework, slow) for slow in (0, 1)]
    is_of_all = [found.freedom < _FEWEST for found in shared]
    for slow in (0, 1):
        if is_of_all[slow]:  # cells are large: each sublattice has few lines of its own
            places = _places(frame, positions, sublattice == framework)
            shared[slow] = told(places, sublattice >= 0, slow, sublattice)
    slow = int(np.argmax([found.variance.sum() for found in shared]))
    variance, freedom = shared[slow]
    if displaced in kinds and not is_of_all[slow]:
        # Each sublattice lies on lines of its own. What moves B in rows, and A not, isn't the scan's.
        found = told(indices, sublattice == displaced, slow)
        both = 0.5 * (variance + found.variance)
        most = 1.0 + _UNSURE * np.sqrt(2.0 / freedom)
        variance, freedom = np.minimum(both, most * variance), freedom + found.freedom
    line = np.nan_to_num(positions[:, slow])
    return LineNoise(line, kind, response[slow], variance, width[usual], freedom)


def _mean_cell(frame: ImageFrame, positions: Array) -> tuple[list[int], MeanCell, Array]:
    """Return the sublattices of which enough is known, and their mean cell in the largest grain and widths, pm."""
    sublattice, i, j = frame[lattice.SUBLATTICE], frame[lattice.I], frame[lattice.J]
    major, minor = (_PM * frame[sigma].astype(np.float64) for sigma in (columns.SIGMA_MAJOR, columns.SIGMA_MINOR))
    yy, yx, xx = precision_of(major, minor, np.deg2rad(frame[columns.ROTATION])).T
    of_grain = frame[lattice.GRAIN] == 0
    numbers = np.unique(sublattice[of_grain & (sublattice >= 0)])
    corner = of_grain & (sublattice == (numbers[0] if len(numbers) else -1))
    mean = fit_lattice(positions[corner], i[corner], j[corner])
    v, u = (positions - mean.at(i, j)).T
    each = np.column_stack([u, v, frame[columns.AMPLITUDE], minor, xx, yx, yx, yy])
    typical = np.array([[known_median(one) for one in each[of_grain & (sublattice == k)].T] for k in numbers])
    typical = typical.reshape(-1, each.shape[1])
    known = np.isfinite(typical).all(axis=1) & (typical[:, 2] > 0.0)
    places, (heights, widths), precision = typical[known, :2], typical[known, 2:4].T, typical[known, 4:]
    background, noise = known_median(frame[columns.BACKGROUND]), (columns.NOISE_GAIN, columns.NOISE_READOUT)
    variance = [float(frame[variable]) for variable in noise]
    cell = MeanCell(mean.a[::-1], mean.b[::-1], places, heights, precision.reshape(-1, 2, 2), background, *variance)
    return numbers[known].tolist(), cell, widths


def _places(frame: ImageFrame, positions: Array, of_framework: Array) -> tuple[Array, Array]:
    """Return where a lattice without errors has the columns, in units of their grain's cell: (n,) along a and b."""
    indices, grain = np.stack([frame[lattice.I], frame[lattice.J]]), frame[lattice.GRAIN]
    kinds, found = frame[lattice.SUBLATTICE], np.full(indices.shape, np.nan)
    for number in np.unique(grain[grain >= 0]):
        corner = (grain == number) & of_framework
        mean = fit_lattice(positions[corner], *indices[:, corner])
        if not np.isfinite(mean.a).all():
            continue
        for kind in np.unique(kinds[grain == number]):
            of = (grain == number) & (kinds == kind)
            away = np.linalg.solve(np.stack([mean.a, mean.b]).T, (positions[of] - mean.origin).T) - indices[:, of]
            found[:, of] = indices[:, of] + np.array([[known_median(along)] for along in away])
    return found[0], found[1]


def known_median(values: Array) -> float:
    """Return the median of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
