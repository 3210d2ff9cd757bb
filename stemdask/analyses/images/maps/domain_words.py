"""What the evidence shows, in words."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.images.domains import directions
from stemdask.kernels.images.domains.domain_count import STRONG, DomainCount
from stemdask.kernels.images.domains.domain_models import DomainModel
from stemdask.units import amount


def found_by_itself(count: DomainCount, model: DomainModel, units: str) -> str:
    """Say how many domains there are and the evidence for them.

    Parameters
    ----------
    count
        The evidence.
    model
        The partition into so many domains.
    units
        Of the displacements, as the store has them.
    """
    if count.n == 0:
        return _none(count, units)
    if count.n == 1:
        return _single(count, units)
    parts = ", ".join(_vector(u, v, units) for u, v in model.centres)
    said = [f"{model.n_domains} domains: {parts}."]
    if count.has_peaks:
        said.append(
            f"Every pair is distinguishable (log likelihood gain at least {count.evidence[count.n - 1]:.1f}, "
            f"{STRONG:g} needed) and the partition is stable (adjusted Rand index "
            f"{count.stability[count.n - 1]:.2f} under the bootstrap)."
        )
    if count.spatial_gain >= STRONG:
        said.append(
            f"Domains predict a cell from the surrounding ones better than fewer domains or a continuously varying "
            f"displacement do (log likelihood gain {count.spatial_gain:.1f} per frame, {STRONG:g} "
            f"needed)."
        )
    return " ".join(said)


def asked_for(wanted: int, count: DomainCount, model: DomainModel, units: str) -> str:
    """Say that a number of domains was asked for, and what the evidence shows."""
    asked = f"{wanted} domain{'s' if wanted != 1 else ''} as asked for. "
    evidence = "The data by themselves: " if count.n != wanted else ""
    return asked + evidence + found_by_itself(count, model, units)


def learnt(model: DomainModel, method: str, ideal: bool, right: float, expected: float) -> str:
    """Say what classes were learnt from, and how many cells can be right.

    Parameters
    ----------
    model, method
        What was learnt, and how.
    ideal
        Whether from ideal directions; otherwise from labelled cells.
    right
        Part of the examples that is right in cross-validation; NaN where there was none.
    expected
        Part of the labelled cells that is expected to be right, as `classifiers.expected_accuracy` returns it.
    """
    source, examples = ("ideal directions", "ideal vectors") if ideal else ("labelled cells", "labelled cells")
    said = f"{model.n_domains} classes learnt from {source} by {method}"
    if np.isfinite(right):
        said += f"; of the {examples} {100 * right:.1f} % are right in cross-validation."
    else:
        said += ", not cross-validated."
    if np.isfinite(expected):
        said += (
            f" Of the cells of this run {100 * expected:.1f} % are expected to have the label of their true "
            f"displacement, given its errors."
        )
    return said


def _none(count: DomainCount, units: str) -> str:
    if count.noise_bic - count.bic[0] <= 2 * STRONG:
        return "No domains: the displacements don't differ from noise about zero."
    return f"No domains to tell apart: the displacements scatter about zero, by {_spread(count, units)}."


def _single(count: DomainCount, units: str) -> str:
    u, v = count.mixtures[0].means[0]
    said = (
        f"No domains to tell apart: the displacements form a single population about {_vector(u, v, units)}, spread by "
        f"{_spread(count, units)}."
    )
    more = int(np.argmin(count.bic)) + 1
    if more > 1:
        gains = count.evidence[1:more]
        strongest = max(float(np.nanmax(gains)), 0.0) if np.isfinite(gains).any() else 0.0
        said += f" {more} Gaussians fit its shape better than one, but "
        if strongest < STRONG:
            said += f"no peaks of their own stand out (log likelihood gain {strongest:.1f}, {STRONG:g} needed)"
        else:
            said += "the partition is not stable, or neighbours say that the displacement varies from cell to cell"
        said += ": more labels would divide what is continuous."
    return said


def _vector(u: float, v: float, units: str) -> str:
    return f"{amount(f'{np.hypot(u, v):.1f}', units)} towards {directions.in_words(u, v)}"


def _spread(count: DomainCount, units: str) -> str:
    least, most = np.sqrt(np.maximum(np.linalg.eigvalsh(count.mixtures[0].covariances[0]), 0.0))
    return f"{amount(f'{least:.1f} to {most:.1f}', units)} beyond the errors"
