"""What the scan did to the columns of a frame: shifts that those on one of its lines share."""

from __future__ import annotations

import numpy as np

from stemdask.analyses.images.columns import columns, lattice
from stemdask.analyses.images.columns.scan_distortion import positions_of
from stemdask.kernels.images.crystal.lattice import fit_lattice
from stemdask.kernels.images.crystal.line_noise import LineNoise
from stemdask.kernels.images.crystal.shared_shifts import shared_shifts
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
    width = _PM * frame[columns.SIGMA_MINOR].astype(np.float64)
    kinds = frame[lattice.SUBLATTICE]
    of_framework, of_displaced = kinds == framework, kinds == displaced
    of_one = known_median(width[of_framework])
    length = np.full(len(positions), of_one)
    if not np.isfinite(of_one):
        return LineNoise(positions[:, 0], np.ones(len(length)), np.zeros(2), np.ones(len(length)), across=1)
    for number in np.unique(kinds):
        of = kinds == number
        length[of] = np.nan_to_num(known_median(width[of]), nan=of_one)
    length *= np.sqrt(1.0 + _part_of_columns(frame, of_framework))
    usual = known_median(length[of_framework])
    felt = np.sqrt(usual / length)
    area = float(np.prod(frame.pixels.shape)) * float(np.prod(frame.pixel_size)) * _PM**2
    apart = float(np.sqrt(area / max(int(of_framework.sum()), 1)))
    indices, grain = (frame[lattice.I], frame[lattice.J]), frame[lattice.GRAIN]
    of_one_kind = np.where(of_framework, grain, -1)
    shared = [shared_shifts(positions, *indices, of_one_kind, slow, usual, apart) for slow in (0, 1)]
    is_of_all = [found.freedom < _FEWEST for found in shared]
    for slow in (0, 1):
        if is_of_all[slow]:  # cells are large: each sublattice has few lines of its own
            of_all = np.where(kinds >= 0, grain, -1)
            places = _places(frame, positions, of_framework)
            shared[slow] = shared_shifts(positions, *places, of_all, slow, usual, apart, kinds)
    slow = int(np.argmax([found.variance.sum() for found in shared]))
    variance, freedom = shared[slow]
    if of_displaced.any() and not is_of_all[slow]:
        # Each sublattice lies on lines of its own. What moves B in rows, and A not, isn't the scan's.
        found = shared_shifts(positions, *indices, np.where(of_displaced, grain, -1), slow, usual, apart)
        both = 0.5 * (variance + found.variance / np.median(felt[of_displaced]) ** 2)
        most = 1.0 + _UNSURE * np.sqrt(2.0 / freedom)
        variance, freedom = np.minimum(both, most * variance), freedom + found.freedom
    return LineNoise(np.nan_to_num(positions[:, slow]), length, variance, felt, 1 - slow, freedom)


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


def _part_of_columns(frame: ImageFrame, of: Array) -> float:
    """Return which part of the noise in the middle of columns is their own: 0 where noise is even."""
    gain, readout = float(frame[columns.NOISE_GAIN]), float(frame[columns.NOISE_READOUT])
    own, beneath = (
        gain * known_median(frame[columns.AMPLITUDE][of]),
        gain * known_median(frame[columns.BACKGROUND][of]) + readout,
    )
    part = own / (own + max(beneath, 0.0)) if own > 0.0 else 0.0
    return part if np.isfinite(part) else 0.0


def known_median(values: Array) -> float:
    """Return the median of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
