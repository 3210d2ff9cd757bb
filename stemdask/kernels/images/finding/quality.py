"""Whether what was found and fitted are the columns of a crystal.

Finding and fitting see columns in whatever repeats. Columns of a crystal have four things in common, and noise, a film,
a page of text or a diffraction pattern lack one of them: the fit of each ends where it began and finds a signal; they
are narrower than they are apart, and explain the image around them; each lies where its neighbours expect it; and
neighbours of one kind are about equally high.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft

from stemdask.kernels.arrays import AnyFloats, Booleans, Codes, Floats, Indices
from stemdask.kernels.images.crystal.lattice import fit_lattice
from stemdask.kernels.images.finding.columns import Columns
from stemdask.kernels.images.finding.sites import predict_sites, to_grid
from stemdask.kernels.images.fitting.aberrations import half_width
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, NOT_CONVERGED, RAN_AWAY, ColumnFit
from stemdask.kernels.images.fitting.noise import noise_where_bright

#: Flags of fits that found no column where one was looked for. One that didn't converge lies as near to where its
#: neighbours expect it as others.
UNUSABLE = (RAN_AWAY, NO_SIGNAL)
#: Standard deviation over the median of absolute deviations, and variance of a value less the mean of eight like it.
_DEVIATION = 1.4826
_OF_EIGHT = 1.125
#: Standard error of a median of normal numbers, in units of that of their mean.
_OF_MEDIAN = 1.2533
#: Pairs of neighbours that a column needs for its height to be compared with theirs, and columns that a kind needs.
_LEAST_PAIRS = 2
_LEAST_COLUMNS = 8
#: Columns of a sublattice may be several at once where beyond doubt they are so many times as wide as those of any
#: clearly higher one (0.75 to 1.1 in real and multislice images), or the fit leaves so much around them, in units of
#: their height, and so many times what it leaves around any clearly higher one.
_CLEARLY_HIGHER, _WIDER, _SEVERAL, _MORE_THAN_HIGHER = 1.5, 1.2, 0.06, 1.7
#: Part of the columns that must lie on both sides of a centre of inversion, how many standard deviations of chance
#: their correlation must be, and what part of it the next best centre may reach.
_LEAST_PAIRED, _SIGNIFICANT, _NEXT_BEST = 0.5, 3.0, 0.8


class Quality(NamedTuple):
    """How far what was found can be believed; NaN where a fit gives no heights."""

    usable: Booleans
    """(n,), of the columns in the interior: those whose fits found a signal where it was looked for."""
    converged: float
    """Part of the fits that converged."""
    width: float
    """Width of a Gaussian that is as wide half way up, in units of the columns' shortest distance."""
    misfit: float
    """What the fit leaves around the columns beyond the noise, in units of their height."""
    scatter: float
    """How far columns are from where those of their kind around them expect them, in units of the shortest distance."""
    unevenness: float
    """How far columns differ in height from those of their kind around them, beyond the noise; of the evenest kind."""
    inversion: float
    """Correlation of the heights on both sides of a single centre; 0 where there is no such centre."""
    unresolved: bool
    """The columns of one sublattice are wider, or less like the fit, than those of any clearly higher one, as where two
    columns are nearer to each other than the image resolves."""
    left_out: float
    """Maxima about as high as A that no lattice explains, in units of the number of columns."""
    bright_noise: float
    """Variance of the noise where the image is brightest over where it is darkest: small on a logarithmic scale."""

    @property
    def usable_part(self) -> float:
        """Part of the columns that are usable."""
        return float(self.usable.mean()) if len(self.usable) else 0.0


class _Kind(NamedTuple):
    """The usable columns of one sublattice of one grain."""

    scatter: Floats
    """(n,), px."""
    rise: Floats
    """(ni, nj), logarithm of each height over the mean of those around, in opposite pairs; NaN where too few are."""
    noise: float
    """Standard error of `rise`, of most columns."""

    @property
    def unevenness(self) -> float:
        known = self.rise[np.isfinite(self.rise)]
        # The columns of a round particle are all a little higher than the mean of those around: that isn't uneven.
        scatter = _DEVIATION * float(np.median(np.abs(known - np.median(known))))
        return float(np.sqrt(max(scatter**2 - self.noise**2, 0.0)))


def assess(found: Columns, fit: ColumnFit, image: AnyFloats, *, dark: bool = False) -> Quality:
    """Judge what was found by how it was fitted.

    Parameters
    ----------
    found
        The columns.
    fit
        Of these columns, in their order; ghosts may follow.
    image
        (ny, nx), which was fitted.
    dark
        The contrast of the image was turned round.
    """
    inside = np.flatnonzero(found.interior)
    flag = fit.flag[inside]
    usable = ~np.isin(flag, UNUSABLE) & np.isfinite(fit.positions[inside]).all(axis=1)
    good = inside[usable]
    label = np.stack([found.grain[good], found.sublattice[good]])
    kinds = [_kind(found, fit, good[(kind == label.T).all(axis=1)]) for kind in np.unique(label, axis=1).T]
    scatter = np.concatenate([np.empty(0), *(kind.scatter for kind in kinds)])
    compared = [kind for kind in kinds if np.isfinite(kind.rise).sum() >= _LEAST_COLUMNS]
    largest = found.grain[good] == 0
    height = fit.amplitude * (1.0 + fit.shape_terms[0]) * (1.0 - fit.halo)
    level = fit.background + 0.5 * height
    variance = np.maximum(fit.noise.gain * level + fit.noise.readout, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = (fit.reduced_chi2 - 1.0) * variance / height**2
    return Quality(
        usable=usable,
        converged=float((flag != NOT_CONVERGED).mean()) if len(flag) else 0.0,
        width=half_width(fit.shape_terms) * _median(fit.sigma_major[good]) / found.distance,
        misfit=_median(np.sqrt(np.maximum(excess[good], 0.0))),
        scatter=_median(scatter) / found.distance,
        unevenness=min((kind.unevenness for kind in compared), default=np.nan),
        inversion=max((_inversion(kind.rise) for kind in compared), default=np.nan),
        unresolved=_unresolved(excess, fit, good[largest], found.sublattice[good[largest]]),
        left_out=len(found.left_out) / max(len(found.positions), 1),
        bright_noise=_bright_noise(fit, image, dark) if compared else np.nan,
    )


def _unresolved(excess: Floats, fit: ColumnFit, of: Indices, sublattice: Codes) -> bool:
    kinds = [of[sublattice == kind] for kind in np.unique(sublattice[sublattice >= 0])]
    height, width, left, least_width, least_left = np.empty((5, len(kinds)))
    for n, kind in enumerate(kinds):
        precision = 2.0 / np.sqrt(len(kind))
        height[n], left[n] = _median(fit.amplitude[kind]), _median(excess[kind])
        width[n] = _median(np.sqrt(fit.sigma_major[kind] * fit.sigma_minor[kind]))
        least_width[n] = width[n] * (1.0 - precision * _median(fit.amplitude_err[kind] / fit.amplitude[kind]))
        least_left[n] = left[n] - precision * _OF_MEDIAN * _DEVIATION * _median(np.abs(excess[kind] - left[n]))
    for n in range(len(kinds)):
        higher = height > _CLEARLY_HIGHER * height[n]
        if not higher.any():
            continue
        if least_width[n] > _WIDER * width[higher].max():
            return True
        if least_left[n] > max(_SEVERAL**2, _MORE_THAN_HIGHER**2 * left[higher].max()):
            return True
    return False


def _bright_noise(fit: ColumnFit, image: AnyFloats, dark: bool) -> float:
    model, sign = fit.model((image.shape[0], image.shape[1])), np.float32(-1 if dark else 1)
    return noise_where_bright(sign * image, sign * model)


def _median(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else np.nan


def _kind(found: Columns, fit: ColumnFit, of: Indices) -> _Kind:
    i, j, positions = found.i[of], found.j[of], fit.positions[of]
    lattice = fit_lattice(positions, i, j)
    if not np.isfinite(lattice.a).all():
        return _Kind(np.empty(0), np.empty((0, 0)), np.nan)
    grid, i0, j0 = to_grid(positions, i, j, 1)
    expected, _ = predict_sites(grid, lattice.a, lattice.b, np.zeros(2), True)
    scatter = np.hypot(*(positions - expected[i - i0, j - j0]).T)
    heights = np.full(grid.shape[:2], np.nan)
    height = np.where(fit.amplitude[of] > 0, fit.amplitude[of], np.nan)
    heights[i - i0, j - j0] = height
    noise = np.sqrt(_OF_EIGHT) * _median(fit.amplitude_err[of] / height)
    return _Kind(scatter, _rise(np.log(heights)), noise)


def _rise(heights: Floats) -> Floats:
    """Return each value of a grid over the mean of its neighbours, of those in pairs on opposite sides of it.

    Such a mean is the value itself where heights rise or fall steadily, as over the rim of a particle or along a wedge.
    """
    known = np.isfinite(heights)
    filled, total, count = np.where(known, heights, 0.0), np.zeros(heights.shape), np.zeros(heights.shape)
    for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
        back = (-step[0], -step[1])  # the grid has an empty border
        both = np.roll(known, step, (0, 1)) & np.roll(known, back, (0, 1))
        total += np.where(both, 0.5 * (np.roll(filled, step, (0, 1)) + np.roll(filled, back, (0, 1))), 0.0)
        count += both
    return np.asarray(np.where(known & (count >= _LEAST_PAIRS), heights - total / np.maximum(count, 1), np.nan))


def _inversion(rise: Floats) -> float:
    """Return the correlation of values on both sides of the centre about which it is highest.

    It is 0 where chance could make it, and where it is as high about many centres: spots of a diffraction pattern are
    alike in pairs about the direct beam (Friedel's law) and about it alone, columns of a superlattice about each of its
    sites. The convolution of a grid with itself sums the products of all pairs about every centre.
    """
    known = np.isfinite(rise)
    limit = 3.0 * _DEVIATION * float(np.median(np.abs(rise[known])))
    value = np.where(known, np.clip(rise - rise[known].mean(), -limit, limit), 0.0)
    shape = [2 * side for side in rise.shape]
    of_value, of_square, of_known = (fft.rfft2(part, shape) for part in (value, value**2, known.astype(float)))
    pairs = 0.5 * np.rint(fft.irfft2(of_known**2, shape))
    enough = pairs >= 0.5 * _LEAST_PAIRED * known.sum()
    squares = np.maximum(fft.irfft2(of_square * of_known, shape), 1e-12)
    alike = (fft.irfft2(of_value**2, shape) / squares)[enough]
    if alike.size < 2:
        return 0.0
    next_best, best = np.argsort(alike)[-2:]
    single = alike[next_best] < _NEXT_BEST * alike[best]
    significant = alike[best] * np.sqrt(pairs[enough][best]) >= _SIGNIFICANT
    return float(alike[best]) if single and significant else 0.0
