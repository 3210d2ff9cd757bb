"""Scattering of a particle that points in all directions alike: the Debye sum over all pairs of its atoms."""

from __future__ import annotations

import math

import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Floats, Integers
from stemdask.kernels.compiled import kernel

#: Steps of the grid of distances, times the largest q. Cubic interpolation of sin(qr)/qr from it errs by less than
#: 0.024 of its fourth power.
_STEP = 0.04
#: Nodes of that grid at most.
_MOST = 2**23
_CHUNK = 2**20


def debye_intensity(positions: Floats, species: AnyIntegers, form_factors: Floats, q: Floats) -> Floats:
    """Return the scattered intensity Σ_i Σ_j f_i f_j sin(q r_ij) / (q r_ij), averaged over all orientations.

    The distances are spread onto a fine grid with the weights of cubic interpolation, so that each term is right to
    1e-7, and the sum over pairs is done once for all q.

    Parameters
    ----------
    positions
        (n, 3), angstrom.
    species
        (n,), 0, 1, ... for each element.
    form_factors
        (species, k), of each element at each q.
    q
        (k,), 1/angstrom.

    Returns
    -------
    Floats
        (k,), in the square of the unit of the form factors.

    Raises
    ------
    ValueError
        The atoms are so far apart that the grid of distances doesn't fit into memory.

    Notes
    -----
    P. Debye, Ann. Phys. 351, 809 (1915).

    Examples
    --------
    >>> pair = np.array([[0.0, 0, 0], [2.5, 0, 0]])
    >>> q = np.array([np.pi / 2.5, 2 * np.pi / 2.5])  # half a wave, and a whole one, between the atoms
    >>> debye_intensity(pair, np.zeros(2, int), np.ones((1, 2)), q).round(6)
    array([2., 2.])
    """
    kinds, xyz = np.asarray(species, np.int64), np.ascontiguousarray(positions, float)
    n_species = len(form_factors)
    step = _STEP / max(float(np.max(q, initial=0.0)), _STEP)
    extent = float(np.linalg.norm(np.ptp(xyz, axis=0))) if len(xyz) else 0.0
    nodes = extent / step + 4
    if nodes > _MOST:
        raise ValueError(f"the atoms lie up to {extent:.3g} apart; the Debye sum takes up to {_MOST * step:.3g}")
    one, other = np.triu_indices(n_species)
    pair = np.zeros((n_species, n_species), np.int64)
    pair[one, other] = pair[other, one] = np.arange(len(one))
    weights = np.zeros((len(one), int(nodes) + 1))
    _spread(xyz, kinds, pair, step, weights)
    filled = np.flatnonzero(weights.any(axis=0))
    r, weights = (filled - 1) * step, weights[:, filled]
    found = np.bincount(kinds, minlength=n_species) @ form_factors**2
    rows = max(_CHUNK // max(len(r), 1), 1)
    for begin in range(0, len(q), rows):
        part = slice(begin, begin + rows)
        waves = np.sinc(np.multiply.outer(q[part], r) / np.pi) @ weights.T
        found[part] += 2 * np.einsum("kp,pk->k", waves, form_factors[one, part] * form_factors[other, part])
    intensity: Floats = found
    return intensity


def structure_factor(intensity: Floats, species: AnyIntegers, form_factors: Floats) -> Floats:
    """Return the total structure factor 1 + (I / n - ⟨f²⟩) / ⟨f⟩² of Faber and Ziman; NaN without atoms.

    Parameters
    ----------
    intensity
        (k,), of all atoms, as from `debye_intensity`.
    species, form_factors
        As there.

    Examples
    --------
    >>> pair, q = np.array([[0.0, 0, 0], [2.5, 0, 0]]), np.array([np.pi, 2.0]) / 2.5
    >>> intensity = debye_intensity(pair, np.zeros(2, int), np.ones((1, 2)), q)
    >>> structure_factor(intensity, np.zeros(2, int), np.ones((1, 2))).round(3)  # 1 + sin(qr) / (qr)
    array([1.   , 1.455])
    """
    counts = np.bincount(np.asarray(species, np.int64), minlength=len(form_factors))
    n = counts.sum()
    if not n:
        return np.full(len(intensity), np.nan)
    mean, mean_square = counts @ form_factors / n, counts @ form_factors**2 / n
    found: Floats = 1 + (intensity / n - mean_square) / mean**2
    return found


@kernel
def _spread(xyz: Floats, species: Integers, pair: Integers, step: float, weights: Floats) -> None:
    """Add the weight of each pair's distance to the four nodes around it; node k lies at (k - 1) · step."""
    n = len(xyz)
    for i in range(n):
        for j in range(i):
            x, y, z = xyz[i, 0] - xyz[j, 0], xyz[i, 1] - xyz[j, 1], xyz[i, 2] - xyz[j, 2]
            place = math.sqrt(x * x + y * y + z * z) / step
            k = int(place)
            t = place - k
            row = pair[species[i], species[j]]
            weights[row, k] -= t * (t - 1) * (t - 2) / 6
            weights[row, k + 1] += (t + 1) * (t - 1) * (t - 2) / 2
            weights[row, k + 2] -= (t + 1) * t * (t - 2) / 2
            weights[row, k + 3] += (t + 1) * t * (t - 1) / 6
