"""Radial distribution function corrected for the end of the particle, and for each pair of elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np

from stemdask.analyses.atoms.order import rdf
from stemdask.analyses.atoms.sample import sample
from stemdask.kernels.atoms.convex_body import particle_body
from stemdask.kernels.atoms.ideal_gas import pair_distance_probability
from stemdask.kernels.atoms.rdf import pair_counts
from stemdask.kernels.atoms.workspace import thread_workspace
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.units import LengthAngstrom

#: Frames looked at for the elements, spread evenly.
PROBES = 32


class FiniteRdfParams(Params):
    """Radial distribution function of a finite particle."""

    margin: Literal["auto", "hull"] | LengthAngstrom = "auto"
    """How far the particle extends beyond the hull of its atoms; auto: so that each surface atom has the same volume as
    those inside."""


G_FINITE = Variable(
    "rdf/g_finite", ("frame", "r"), "float64", "1", "radial distribution function corrected for the edge"
)
BODY_VOLUME = Variable("rdf/body_volume", ("frame",), "float64", "angstrom^3", "volume that the particle fills")
PAIR_ELEMENT_1 = Variable(
    "rdf/pair_element_1", ("pair",), "uint8", "1", "atomic number of the one atom", stage="prepare", coordinate=True
)
PAIR_ELEMENT_2 = Variable(
    "rdf/pair_element_2", ("pair",), "uint8", "1", "atomic number of the other atom", stage="prepare", coordinate=True
)
G_PARTIAL = Variable(
    "rdf/g_partial", ("frame", "pair", "r"), "float64", "1", "corrected distribution of each pair of elements"
)


def outputs(params: FiniteRdfParams) -> tuple[Variable, ...]:
    """Declare the corrected distribution, and that of each pair of elements."""
    return G_FINITE, BODY_VOLUME, PAIR_ELEMENT_1, PAIR_ELEMENT_2, G_PARTIAL


def prepare(frames: Sequence[Frame], params: FiniteRdfParams) -> Mapping[str, Array]:
    """Name the pairs of elements."""
    elements: set[int] = set()
    for frame in sample(frames, PROBES):
        elements.update(frame.numbers.tolist())
    pairs = np.array(list(combinations_with_replacement(sorted(elements), 2)), np.uint8).reshape(-1, 2)
    return {PAIR_ELEMENT_1.path: pairs[:, 0], PAIR_ELEMENT_2.path: pairs[:, 1]}


def run(frame: AtomsFrame, params: FiniteRdfParams) -> Mapping[str, Array]:
    """Divide the pairs of one frame by those of an ideal gas in the same body, or in the same periodic box.

    All is NaN where the atoms span no volume, or a box is periodic along some of its vectors only.
    """
    r = frame[rdf.R]
    edges = np.arange(len(r) + 1) * (2 * r[0])
    volume, probability = _ideal_gas(frame, edges, params)
    here = np.isfinite(frame.positions).all(axis=1)
    first, second = frame[PAIR_ELEMENT_1], frame[PAIR_ELEMENT_2]
    counts = {element: _counts(frame, here & (frame.numbers == element), edges) for element in np.unique(first)}
    partial = np.full((len(first), len(r)), np.nan)
    for k, (one, other) in enumerate(zip(first, second, strict=True)):
        n_one, n_other = (int((here & (frame.numbers == element)).sum()) for element in (one, other))
        if one == other:
            partial[k] = _ratio(counts[one], _n_pairs(n_one, frame) * probability)
        else:
            both = _counts(frame, here & np.isin(frame.numbers, (one, other)), edges)
            partial[k] = _ratio(both - counts[one] - counts[other], n_one * n_other * probability)
    return {
        G_FINITE.path: _ratio(frame[rdf.COUNTS], _n_pairs(int(here.sum()), frame) * probability),
        BODY_VOLUME.path: np.array(volume),
        G_PARTIAL.path: partial,
    }


def _ideal_gas(frame: AtomsFrame, edges: Array, params: FiniteRdfParams) -> tuple[float, Array]:
    """Return the volume that the atoms have, and the probability that two points in it fall into each bin."""
    nothing = np.nan, np.full(len(edges) - 1, np.nan)
    if frame.cell is not None and any(frame.periodic):
        volume = abs(float(np.linalg.det(frame.cell)))
        return (volume, 4 / 3 * np.pi * np.diff(edges**3) / volume) if all(frame.periodic) else nothing
    margin = {"auto": None, "hull": 0.0}[params.margin] if isinstance(params.margin, str) else params.margin.angstrom()
    body = particle_body(frame.positions[np.isfinite(frame.positions).all(axis=1)], margin)
    return nothing if body is None else (body.volume, pair_distance_probability(body, edges))


def _n_pairs(n: int, frame: AtomsFrame) -> float:
    """Return the number of pairs; in a periodic box an atom and its own images count half."""
    return 0.5 * n * (n if any(frame.periodic) else n - 1)


def _counts(frame: AtomsFrame, chosen: Array, edges: Array) -> Array:
    return pair_counts(frame.positions[chosen], edges, frame.cell, frame.periodic, workspace=thread_workspace())


def _ratio(counts: Array, expected: Array) -> Array:
    ratio: Array = np.divide(counts, expected, out=np.full(len(expected), np.nan), where=expected > 0)
    return ratio


ANALYSIS = Analysis(
    name="finite_rdf",
    kind="atoms",
    summary="Radial distribution function corrected for the end of the particle, and for each pair of elements",
    params=FiniteRdfParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.finite_rdf",
    needs=("rdf",),
    prepare=prepare,
    run=run,
)
