"""How many atoms stand one behind the other in each column, from the steps in the intensities of many columns.

Statistics-based atom counting: the intensities are a mixture of Gaussians of one width, a component for each number of
atoms; how many components there are is chosen by the integrated completed likelihood (Van Aert et al., Phys. Rev. B 87
(2013) 064107; De Backer et al., Ultramicroscopy 134 (2013) 23).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.arrays import AnyFloats, Floats

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

_SAMPLE = 2000
_FEWEST = 30


@dataclass(frozen=True, slots=True)
class AtomCounts:
    """The steps found in a set of intensities."""

    means: Floats
    """(g,), ascending: intensity of each number of atoms."""
    sigma: float
    """Spread of the intensities of columns of equally many atoms."""
    weights: Floats
    """(g,), fraction of the columns."""
    first: int
    """Number of atoms of the first component; 0: unknown, since one step alone doesn't tell its number."""
    criterion: Floats
    """Integrated completed likelihood for 1, 2, ... components; the least is the best."""
    linearity: float
    """RMS deviation of the means from proportionality to the number of atoms, in units of one step."""

    def count(self, intensities: AnyFloats) -> tuple[NDArray[np.int16], Floats]:
        """Return the number of atoms (-1 where it is unknown) and the probability that the intensity belongs to it."""
        known = np.isfinite(intensities)
        values = np.where(known, intensities, self.means[0])[..., None]
        score = np.log(self.weights) - 0.5 * ((values - self.means) / self.sigma) ** 2
        best = score.argmax(axis=-1)
        chance = 1 / np.exp(score - score.max(axis=-1, keepdims=True)).sum(axis=-1)
        return np.where(known & (self.first > 0), best + self.first, -1).astype(np.int16), np.where(
            known, chance, np.nan
        )


def count_atoms(intensities: AnyFloats, most: int = 20, first: int | None = None) -> AtomCounts | None:
    """Find the steps in the intensities of columns of one kind.

    Parameters
    ----------
    intensities
        Any shape; NaN is left out. Of more than 2,000, these many spread evenly over them are used.
    most
        Most components tried.
    first
        Number of atoms of the weakest columns; None: the one for which intensity is best proportional to it.

    Returns
    -------
    AtomCounts or None
        None for fewer than 30 intensities, or where all are equal.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> intensities = 10.0 * random.integers(3, 6, 300) + random.normal(0, 0.8, 300)
    >>> np.diff(count_atoms(intensities).means).round()
    array([10., 10.])
    """
    values = np.asarray(intensities, dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    if len(values) < _FEWEST or np.ptp(values) == 0:
        return None
    values = np.sort(values)
    if len(values) > _SAMPLE:
        values = values[np.linspace(0, len(values) - 1, _SAMPLE).round().astype(int)]
    scale = float(values.std())
    data = ((values - values.mean()) / scale)[:, None]
    best, criterion = _fit(data, 1), [np.inf]
    for k in range(1, min(most, len(values) // 10) + 1):
        model = _fit(data, k)
        criterion.append(_completed_likelihood(model, data))
        if criterion[-1] < min(criterion[:-1]):
            best = model
    order = np.argsort(best.means_[:, 0])
    means = best.means_[order, 0] * scale + values.mean()
    number, linearity = _first_number(means, first)
    return AtomCounts(
        means,
        float(best.covariances_[0, 0]) ** 0.5 * scale,
        best.weights_[order],
        number,
        np.array(criterion[1:]),
        linearity,
    )


def _fit(data: Floats, k: int) -> GaussianMixture:
    """Fit k components of one width, from means spread evenly over the values and over their ranks."""
    from sklearn.mixture import GaussianMixture  # a second and 200 extension modules for every worker otherwise

    low, high = (float(edge) for edge in np.quantile(data, [0.01, 0.99]))
    starts = [np.linspace(low, high, k + 2)[1:-1], np.quantile(data, (np.arange(k) + 0.5) / k)]
    models = []
    for start in starts:
        model = GaussianMixture(
            k,
            covariance_type="tied",
            weights_init=np.full(k, 1 / k),
            means_init=start[:, None],
            precisions_init=np.array([[(2.0 * k) ** 2]]),
            init_params="random_from_data",
            random_state=0,
            max_iter=500,
            tol=1e-4,
            reg_covar=1e-9,
        )
        models.append(model.fit(data))
    return max(models, key=lambda model: model.lower_bound_)


def _completed_likelihood(model: GaussianMixture, data: Floats) -> float:
    """Return -2 log likelihood + (number of parameters) log n + 2 entropy of the assignment (De Backer 2013, eq. 9)."""
    chance = model.predict_proba(data)
    entropy = -np.sum(chance * np.log(np.maximum(chance, 1e-300)))
    n_parameters = 2 * model.n_components  # means, weights that sum to one, one width
    return float(-2 * model.score(data) * len(data) + n_parameters * np.log(len(data)) + 2 * entropy)


def _first_number(means: Floats, given: int | None) -> tuple[int, float]:
    """Return the number of atoms of the first component, and how far the means are from proportionality, in steps."""
    if given is None and len(means) == 1:
        return 0, np.nan
    candidates = range(1, 100) if given is None else (given,)
    found = []
    for first in candidates:
        number = first + np.arange(len(means))
        step = float(number @ means) / float(number @ number)
        found.append((float(np.sqrt(np.mean((means - step * number) ** 2)) / abs(step)), first))
    linearity, first = min(found)
    return first, linearity
