"""How many domains a distribution of displacements holds, if any: more than one only on strong evidence."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from stemdask.kernels.arrays import Booleans, Floats, Indices
from stemdask.kernels.images.domains import deconvolved_mixture, directions
from stemdask.kernels.images.domains.deconvolved_mixture import Mixture
from stemdask.kernels.images.domains.spatial_evidence import evidence_beside_a_field, spatial_evidence
from stemdask.kernels.images.domains.unimodality import evidence_of_two

#: Gain of log likelihood that counts as strong evidence (Kass & Raftery 1995: 2 ln B > 6).
STRONG = 3.0
#: Directions further apart than this, degree, must be two peaks of the angle too, or they turn continuously.
TURN = 30.0
#: Mean adjusted Rand index of bootstrap repeats below which a partition is not stable.
STABLE = 0.8
#: Standard errors by which a mean differs from zero: in a plane, one of 3,000 means of noise does.
CERTAIN = 4.0
#: Bootstrap repeats, and vectors at most in one.
_REPEATS = 10
_RESAMPLED = 2000


@dataclass(frozen=True, slots=True)
class DomainCount:
    """The evidence; arrays run over 1, 2, ... components."""

    n: int
    """Number of domains: 0 noise alone, 1 a single population."""
    bic: Floats
    """Bayesian information criterion, in log likelihood times -2; least is best."""
    noise_bic: float
    """The same for no displacement at all."""
    evidence: Floats
    """Weakest gain of log likelihood of two peaks over one among all pairs of components; NaN for one component and
    for more than the BIC allows."""
    silhouette: Floats
    """Mean silhouette of the partition (Rousseeuw 1987); NaN for one component."""
    stability: Floats
    """Mean adjusted Rand index between the partition and those of bootstrap samples; NaN without strong evidence."""
    spatial: Floats
    """The second kind of evidence, as `spatial_evidence` returns it; NaN if unknown."""
    peaks: Booleans
    """Whether the first kind of evidence is strong."""
    mixtures: tuple[Mixture, ...]
    """Fitted mixtures of 1, 2, ... components."""

    @property
    def has_peaks(self) -> bool:
        """Whether `n` domains, two at least, are peaks that are told apart."""
        return bool(self.peaks[self.n - 1])

    @property
    def spatial_gain(self) -> float:
        """The second kind of evidence of `n` domains, one at least."""
        return float(self.spatial[self.n - 1])


def count_domains(
    points: Floats,
    noise: Floats,
    effective: float,
    most: int,
    maps: tuple[Floats, Floats] | None = None,
    seed: int = 0,
) -> DomainCount:
    """Decide how many domains there are.

    Taken is the largest number for which there is strong evidence of one of two kinds: where the vectors are, or what
    they say of their neighbours.

    For the first a mixture behind the known errors is fitted with 1, 2, ... components. Every pair of them must be
    separated (two peaks against any single one, along the line between them and, for different directions, in the
    angle), and the partition be stable under the bootstrap; there are no more of them than the BIC asks for. Neighbours
    may not speak against it: what turns from cell to cell may have peaks as well.

    Parameters
    ----------
    points
        (n, 2), u and v, pm.
    noise
        (n, 2), standard errors, pm.
    effective
        Number of independent vectors among the n: cells that are seen in many frames count once.
    most
        Largest number of domains tried.
    maps
        Vectors and errors, (frame, row, column, 2), that show which cells are neighbours; None leaves them out.
    seed
        Of the fits and the samples.
    """
    # One order for all that follows: the result must not depend on that of the frames.
    order = np.lexsort(points.T)
    points, noise = points[order], noise[order]
    most = max(min(most, len(points) // 5, int(effective) // 5), 1)
    mixtures = tuple(deconvolved_mixture.fit(points, noise, k, seed) for k in range(1, most + 1))
    penalty = np.log(max(effective, 2.0))
    bic = np.array([penalty * m.n_parameters - 2 * effective * m.log_likelihood for m in mixtures])
    noise_bic = -2 * effective * deconvolved_mixture.noise_alone(points, noise)
    evidence, silhouette, stability, beside, spatial = (np.full(most, np.nan) for _ in range(5))
    if maps is not None:
        spatial = spatial_evidence(*maps, most, seed)
    for k in range(2, most + 1):
        label = deconvolved_mixture.posterior(mixtures[k - 1], points, noise).argmax(axis=1)
        silhouette[k - 1] = _silhouette(points, label)
        if k > int(np.argmin(bic)) + 1 or bic[k - 1] >= min(bic[0], noise_bic):
            continue
        evidence[k - 1] = _weakest_pair(mixtures[k - 1], points, noise, label, effective)
        if evidence[k - 1] >= STRONG:
            stability[k - 1] = _stability(points, noise, mixtures[k - 1], seed)
        if stability[k - 1] >= STABLE and maps is not None:
            beside[k - 1] = evidence_beside_a_field(*maps, k, seed)
    peaks = (evidence >= STRONG) & (stability >= STABLE) & ~(beside < STRONG)
    claimed = np.flatnonzero(peaks | (spatial >= STRONG))
    if claimed.size:
        n = int(claimed[-1]) + 1
    else:
        none = noise_bic <= bic.min() or (centred_on_zero(mixtures[0], noise, effective) and int(np.argmin(bic)) == 0)
        n = 0 if none else 1
    return DomainCount(n, bic, float(noise_bic), evidence, silhouette, stability, spatial, peaks, mixtures)


def centred_on_zero(single: Mixture, noise: Floats, effective: float) -> bool:
    """Tell whether the mean of a single population can't be told from zero.

    It errs by the spread of the vectors and by their noise (n, 2).
    """
    mean = single.means[0]
    covariance = (single.covariances[0] + np.diag(np.mean(noise**2, axis=0))) / max(effective, 1.0)
    return float(mean @ np.linalg.solve(covariance, mean)) < CERTAIN**2


def _weakest_pair(mixture: Mixture, points: Floats, noise: Floats, label: Indices, effective: float) -> float:
    weakest = np.inf
    for first, second in combinations(range(len(mixture.weights)), 2):
        pair = (label == first) | (label == second)
        n = effective * pair.mean()
        apart = mixture.means[second] - mixture.means[first]
        length = float(np.hypot(*apart))
        if length == 0 or n < 8:
            return 0.0
        along = apart / length
        gain = n * evidence_of_two(points[pair] @ along, np.sqrt(noise[pair] ** 2 @ along**2))
        weakest = min(weakest, gain)
        polar = np.hypot(*mixture.means[[first, second]].T) > 3 * np.median(noise)
        if weakest >= STRONG and polar.all():
            weakest = min(weakest, _evidence_of_turn(mixture.means[[first, second]], points[pair], noise[pair], n))
        if weakest < STRONG:
            break
    return float(weakest)


def _evidence_of_turn(means: Floats, points: Floats, noise: Floats, effective: float) -> float:
    """Evidence that the angle has two peaks; infinite where the directions hardly differ."""
    first, second = directions.angle(means[:, 0], means[:, 1])
    half = float(directions.difference(np.array(second), first)) / 2
    if abs(2 * half) <= TURN:
        return np.inf
    length = np.hypot(points[:, 0], points[:, 1])
    # A direction means something only well away from zero.
    clear = length > 2 * noise.max(axis=1)
    if not clear.any():
        return 0.0
    points, noise, length = points[clear], noise[clear], length[clear]
    across = np.hypot(points[:, 1] * noise[:, 0], points[:, 0] * noise[:, 1]) / length**2
    turned = directions.difference(directions.angle(points[:, 0], points[:, 1]), first + half)
    return float(effective * clear.mean() * evidence_of_two(turned, np.degrees(across)))


def _silhouette(points: Floats, label: Indices) -> float:
    from sklearn.metrics import silhouette_score

    chosen = np.linspace(0, len(points) - 1, min(len(points), _RESAMPLED)).round().astype(int)
    if len(np.unique(label[chosen])) < 2:
        return float("nan")
    return float(silhouette_score(points[chosen], label[chosen]))


def _stability(points: Floats, noise: Floats, mixture: Mixture, seed: int) -> float:
    """Mean adjusted Rand index between the partition by the mixture and those by refits to bootstrap samples."""
    from sklearn.metrics import adjusted_rand_score

    random = np.random.default_rng(seed)
    thinned = np.linspace(0, len(points) - 1, min(len(points), _RESAMPLED)).round().astype(int)
    points, noise = points[thinned], noise[thinned]
    label = deconvolved_mixture.posterior(mixture, points, noise).argmax(axis=1)
    agreement = []
    for _ in range(_REPEATS):
        drawn = random.integers(0, len(points), len(points))
        refit = deconvolved_mixture.fit(points[drawn], noise[drawn], len(mixture.weights), seed, steps=50)
        other = deconvolved_mixture.posterior(refit, points, noise).argmax(axis=1)
        agreement.append(adjusted_rand_score(label, other))
    return float(np.mean(agreement))
