"""Whether domains of one displacement each predict a cell better than any displacement that varies continuously."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.domains import deconvolved_mixture, potts_mixture
from stemdask.kernels.images.domains.continuous import Surroundings, local_fit
from stemdask.kernels.images.domains.potts_mixture import PottsMixture

_ROUND = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 14.0, np.inf)
_LINES = ((0.0, 2.0), (0.0, 5.0), (0.0, np.inf), (1.0, 4.0), (1.0, np.inf))
#: Continuous fields that domains compete with: of any scale, and those of single lattice rows and columns, which the
#: lines of a scan displace together.
CONTINUOUS = tuple(
    [Surroundings(reach, reach, plane) for reach in _ROUND for plane in (False, True)]
    + [Surroundings(*reach) for line in _LINES for reach in (line, line[::-1])]
)
#: What one domain more costs: its mean, and as much again because it is looked for at all places of all cells. With the
#: mean alone, two of eight noisy images of two domains had three.
PARAMETERS = 4
#: Parameters of one component more of a distribution: its mean, its spread and how common it is.
_COMPONENT = 6
#: Parameters of a continuous field on top of domains: how far cells count down and along, and what is left beside it.
#: A single population has it for nothing: what may vary continuously has the benefit of the doubt.
FIELD = 3
#: Parts of the spread of a domain that may be left beside a continuous field.
_LEFT = (1.0, 0.6, 0.35, 0.2, 0.1, 0.05, 0.02, 0.0)


def spatial_evidence(vectors: Floats, errors: Floats, most: int, seed: int = 0) -> Floats:
    """Return the evidence for 1, 2, ... domains in how well cells are predicted by others.

    It is the log likelihood of cells that are held out, predicted as domains of one displacement each, less the best of
    all that is simpler: fewer domains, alone or with a displacement on top that varies continuously (with a single one
    this is any continuous field), and vectors of any distribution that say nothing of their neighbours. What each
    domain, component and field costs is taken off.

    Parameters
    ----------
    vectors, errors
        (frame, row, column, 2), pm; NaN where there is no cell. The noise of neighbours is taken as independent, as it
        is in displacements as measured and isn't in denoised ones.
    most
        Largest number of domains tried.
    seed
        Of the fits.

    Returns
    -------
    (most,), gain per frame, because one frame may show only what another did; NaN for one domain and where a number
    wasn't tried, because fewer had done worse and worse.
    """
    present = potts_mixture.cells_present(vectors)
    gain = np.full(most, np.nan)
    if present.sum() < 5 * most:
        return gain
    models: list[PottsMixture] = []
    alone: list[float] = []
    for k in range(1, most + 1):
        models.append(potts_mixture.fit(vectors, errors, k, seed=seed))
        alone.append(potts_mixture.held_out_likelihood(models[-1], vectors, errors) - PARAMETERS * (k - 1))
        if k > 2 and alone[-1] < alone[-2] < alone[-3]:
            break
    simpler = [_white(vectors[present], errors[present], most, seed), *_varying(models[:1], vectors, errors)]
    better = [k for k in range(2, len(models) + 1) if alone[k - 1] > max(simpler)]
    if better:
        simpler += _varying(models[1 : better[-1] - 1], vectors, errors)
    for k in range(2, len(models) + 1):
        gain[k - 1] = alone[k - 1] - max(simpler[:k] + alone[: k - 1])
    return gain / len(vectors)


def evidence_beside_a_field(vectors: Floats, errors: Floats, k: int, seed: int = 0) -> float:
    """Return the gain, per frame, of `k` domains with a continuous field on top over such a field alone.

    Arguments as of `spatial_evidence`. A displacement may vary within domains; where nothing is gained, what looks like
    domains is the field itself.
    """
    models = [potts_mixture.fit(vectors, errors, number, seed=seed) for number in (1, k)]
    field, domains = _varying(models, vectors, errors)
    return (domains - field) / len(vectors)


def _varying(models: list[PottsMixture], vectors: Floats, errors: Floats) -> list[float]:
    """Log likelihood of the cells held out, for each model with the continuous field on top that predicts best."""
    present = potts_mixture.cells_present(vectors)
    total = np.zeros((len(models), len(CONTINUOUS), len(_LEFT)))
    for held in potts_mixture.folds(present) if models else ():
        used = (present & ~held)[..., None]
        fields = [local_fit(used[..., 0], np.where(used, errors**2, 0.0), about) for about in CONTINUOUS]
        for model, found in zip(models, total, strict=True):
            shares = model.held_out(vectors, errors, held)
            beyond = np.where(used, vectors - shares @ model.means, 0.0)
            for field, likelihoods in zip(fields, found, strict=True):
                points = (vectors - field.predict(beyond))[held]
                spread = np.sqrt(errors**2 + field.variance)[held]
                for part, left in enumerate(_LEFT):
                    narrower = replace(model, covariances=left * model.covariances)
                    likelihoods[part] += narrower.log_likelihood(points, spread, shares[held])
    return [
        float(found.max()) - (len(model.means) > 1) * (PARAMETERS * (len(model.means) - 1) + FIELD)
        for model, found in zip(models, total, strict=True)
    ]


def _white(points: Floats, noise: Floats, most: int, seed: int) -> float:
    """Log likelihood of vectors of any distribution that say nothing of their neighbours."""
    best = -np.inf
    for k in range(1, most + 1):
        likelihood = deconvolved_mixture.fit(points, noise, k, seed).log_likelihood
        before, best = best, max(best, len(points) * likelihood - _COMPONENT * (k - 1))
        if best == before:
            break
    return best
