"""What the scan did to the columns of a frame: shifts that those on one of its lines share."""

from __future__ import annotations

import numpy as np

from stemdask.analyses.images.columns import columns, lattice
from stemdask.analyses.images.columns.scan_distortion import positions_of
from stemdask.kernels.images.crystal.line_noise import LineNoise
from stemdask.kernels.images.crystal.shared_shifts import shared_shifts
from stemdask.model import Array, ImageFrame

_PM = 1e3
#: The variance of shifts of so many lines is known to so many standard errors.
_UNSURE = 2.0


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
    shared, by_displaced = (
        [shared_shifts(positions, *indices, np.where(of, grain, -1), slow, usual, apart) for slow in (0, 1)]
        for of in (of_framework, of_displaced)
    )
    slow = int(np.argmax([found.variance.sum() for found in shared]))
    variance, freedom = shared[slow]
    if of_displaced.any():
        # Each sublattice lies on lines of its own. What moves B in rows, and A not, isn't the scan's.
        others, more = by_displaced[slow]
        both = 0.5 * (variance + others / np.median(felt[of_displaced]) ** 2)
        most = 1.0 + _UNSURE * np.sqrt(2.0 / max(freedom, 1.0))
        variance, freedom = np.minimum(both, most * variance), freedom + more
    return LineNoise(np.nan_to_num(positions[:, slow]), length, variance, felt, 1 - slow, freedom)


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
