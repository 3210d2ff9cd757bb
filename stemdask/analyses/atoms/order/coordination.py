"""Coordination number of each atom, by the first minima of g(r) of its elements, bulk distances, or its lattice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations_with_replacement
from typing import Literal, TypeAlias

import numpy as np

from stemdask.analyses.atoms.order import rdf
from stemdask.analyses.atoms.sample import sample
from stemdask.errors import FrameError
from stemdask.kernels.atoms.coordination import (
    Coordination,
    body_centred_coordination,
    coordination,
    coordination_by_lattice,
)
from stemdask.kernels.atoms.pair_cutoffs import PairCutoffs, pair_cutoffs
from stemdask.kernels.atoms.rdf import bin_edges
from stemdask.kernels.atoms.surroundings import surroundings
from stemdask.kernels.atoms.workspace import thread_workspace
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.sources.atoms.elements import chemical_symbol, covalent_bonds, nearest_distance
from stemdask.units import LengthAngstrom

Rule: TypeAlias = Literal["auto", "first_minimum", "bulk_distance", "lattice"]

#: Two atoms are neighbours below this multiple of the nearest-neighbour distance of the bulk metal.
REACH = 1.2
#: Largest coordination number of the histogram; it counts all that exceed it too.
LARGEST = 20


#: Frames looked at for the elements, spread evenly.
PROBES = 32
#: Atoms that a frame must have before it can be said that most of them have no neighbour.
FEWEST = 8
#: g(r) is looked at up to this multiple of its first minimum, or of a length [angstrom] where it has none.
LONGEST, UNKNOWN = 3.0, 3.0


class CoordinationParams(Params):
    """Coordination numbers."""

    rule: Rule = "auto"
    """Two atoms are neighbours below the first minimum of g(r) of their elements (first_minimum); in body-centred
    crystals, whose first two shells g(r) hardly tells apart, in the first of them (auto); below 1.2 times the distance
    of nearest neighbours in the bulk element, the mean of both (bulk_distance, as in the published tutorial); or if one
    is in the first shell of the other's crystal lattice (lattice: 8 neighbours in bcc at any temperature), and by the
    first minima where there is no lattice."""
    cutoff: Literal["auto"] | LengthAngstrom = "auto"
    """Distance below which atoms are neighbours, whatever their elements; auto: by the rule."""
    lattice_parameter: Literal["auto"] | LengthAngstrom = "auto"
    """Lattice parameter of the fcc metal, from which the bulk distance follows;
    auto: that of each element."""

    @property
    def by(self) -> Rule:
        """The rule that holds."""
        return self.rule if self.lattice_parameter == "auto" else "bulk_distance"


_ATOM, _PAIR = ("frame", "atom"), ("frame", "pair")
COORDINATION = Variable("atoms/coordination", _ATOM, "int32", "1", "coordination number")
COORDINATION_SAME_ELEMENT = Variable(
    "atoms/coordination_same_element", _ATOM, "int32", "1", "neighbours of the atom's own element"
)
_BY_BULK_DISTANCE = Variable(
    "atoms/coordination_bulk_distance", _ATOM, "int32", "1", "coordination number by bulk distances"
)
_BY_FIRST_MINIMUM = Variable(
    "atoms/coordination_first_minimum", _ATOM, "int32", "1", "coordination number by the first minima of g(r)"
)
#: The coordination number by a rule that doesn't hold, to compare.
BY_OTHER_RULE: Mapping[Rule, Variable] = {
    "auto": _BY_BULK_DISTANCE,
    "first_minimum": _BY_BULK_DISTANCE,
    "bulk_distance": _BY_FIRST_MINIMUM,
    "lattice": _BY_FIRST_MINIMUM,
}
ELEMENT_1 = Variable(
    "coordination/element_1", ("pair",), "uint8", "1", "atomic number of the one", stage="prepare", coordinate=True
)
ELEMENT_2 = Variable(
    "coordination/element_2", ("pair",), "uint8", "1", "atomic number of the other", stage="prepare", coordinate=True
)
CUTOFF = Variable(
    "coordination/cutoff",
    _PAIR,
    "float64",
    "angstrom",
    "distance below which the two elements are neighbours; 0: never",
    error="coordination/cutoff_err",
)
CUTOFF_ERR = Variable("coordination/cutoff_err", _PAIR, "float64", "angstrom", "standard error of that distance")
CN = Variable("particle/cn", ("cn",), "int32", "1", "coordination number; the last one and more", stage="prepare")
COORDINATION_HISTOGRAM = Variable(
    "particle/coordination_histogram", ("frame", "cn"), "int64", "1", "atoms with each coordination number"
)
MEAN_COORDINATION = Variable(
    "particle/mean_coordination", ("frame",), "float64", "1", "mean coordination number", trend=True
)


def outputs(params: CoordinationParams) -> tuple[Variable, ...]:
    """Declare the coordination numbers, the cutoffs they come from and the histogram."""
    numbers = (COORDINATION, COORDINATION_SAME_ELEMENT, BY_OTHER_RULE[params.by])
    return (*numbers, ELEMENT_1, ELEMENT_2, CUTOFF, CUTOFF_ERR, CN, COORDINATION_HISTOGRAM, MEAN_COORDINATION)


def prepare(frames: Sequence[Frame], params: CoordinationParams) -> Mapping[str, Array]:
    """Return the pairs of elements, and the bins of the histogram."""
    elements = np.unique(np.concatenate([[], *(frame.numbers for frame in sample(frames, PROBES))]))
    pairs = np.array(list(combinations_with_replacement(elements, 2)), np.uint8).reshape(-1, 2)
    bins = np.arange(LARGEST + 1, dtype=np.int32)
    return {ELEMENT_1.path: pairs[:, 0], ELEMENT_2.path: pairs[:, 1], CN.path: bins}


def run(frame: AtomsFrame, params: CoordinationParams) -> Mapping[str, Array]:
    """Count the neighbours of each atom."""
    elements, species = np.unique(frame.numbers, return_inverse=True)
    bulk = _bulk_distances(elements, params)
    minima = _first_minima(frame, species, bulk)
    used = bulk if params.by == "bulk_distance" else minima
    if params.cutoff != "auto":
        used = _without_error(np.full(bulk.cutoff.shape, params.cutoff.angstrom()))
    _check_known(elements, used)
    counted = _count(frame, species, used)
    found = counted
    if params.by == "lattice":
        found = _by_lattice(frame, species, counted)
    elif params.by == "auto" and params.cutoff == "auto":
        found = _body_centred(frame, species) or counted
    _hold_together(found.number, used)
    by_other = bulk if params.by in ("auto", "first_minimum") else minima
    # -1 where the rule needs elements that aren't known.
    other = np.full(len(species), -1) if np.isnan(by_other.cutoff).any() else _count(frame, species, by_other).number
    histogram = np.bincount(np.minimum(found.number, LARGEST), minlength=LARGEST + 1)
    cutoff, error = _of_pairs(frame, elements, used)
    return {
        COORDINATION.path: found.number,
        COORDINATION_SAME_ELEMENT.path: found.same_element,
        BY_OTHER_RULE[params.by].path: other,
        CUTOFF.path: cutoff,
        CUTOFF_ERR.path: error,
        COORDINATION_HISTOGRAM.path: histogram,
        MEAN_COORDINATION.path: np.array(found.number.mean() if len(found.number) else np.nan),
    }


def _check_known(elements: Array, used: PairCutoffs) -> None:
    """Refuse bulk distances of atoms whose element isn't known."""
    unknown = elements[np.isnan(used.cutoff).any(axis=1)]
    if len(unknown):
        raise FrameError(
            "distances between neighbours are unknown without elements",
            value=", ".join(chemical_symbol(number) for number in unknown),
            remedy="Set input.elements, or coordination.cutoff",
        )


def _hold_together(number: Array, used: PairCutoffs) -> None:
    """Refuse a frame of which most atoms have no neighbour: nothing that is said of its order would mean anything."""
    without = int((number == 0).sum())
    if len(number) >= FEWEST and 2 * without > len(number):
        raise FrameError(
            f"{without} of {len(number)} atoms have no neighbour",
            value=f"cutoff {np.nanmax(used.cutoff):.3g} angstrom",
            remedy="Check that the coordinates are in angstrom (input.scale), or give a cutoff",
        )


def _count(frame: AtomsFrame, species: Array, cutoffs: PairCutoffs) -> Coordination:
    space = thread_workspace()
    return coordination(frame.positions, species, cutoffs.cutoff, frame.cell, frame.periodic, workspace=space)


def _by_lattice(frame: AtomsFrame, species: Array, counted: Coordination) -> Coordination:
    """Count by the lattice of each atom, and keep what was counted of atoms on none."""
    crystal = surroundings(frame.positions, frame.numbers, frame.cell, frame.periodic)
    found = coordination_by_lattice(crystal, species)
    there = found.number >= 0
    return Coordination(*(np.where(there, new, old) for new, old in zip(found, counted, strict=True)))


def _body_centred(frame: AtomsFrame, species: Array) -> Coordination | None:
    """Count the first shell of a body-centred crystal; None in any other structure."""
    r, counts = frame[rdf.R], frame[rdf.COUNTS]
    if not counts.any():
        return None
    spacing = float(r[np.argmax(counts / r**2)])
    return body_centred_coordination(frame.positions, species, frame.numbers, spacing, frame.cell, frame.periodic)


def _first_minima(frame: AtomsFrame, species: Array, bulk: PairCutoffs) -> PairCutoffs:
    """Return the first minimum of each pair of elements, of a single one that of `rdf`; bulk distances without one."""
    common = float(frame[rdf.CUTOFF])
    if len(bulk.cutoff) == 1 and common > 0:
        return PairCutoffs(np.full((1, 1), common), np.full((1, 1), float(frame[rdf.CUTOFF_ERR])))
    r = frame[rdf.R]
    edges = bin_edges(LONGEST * (common if common > 0 else UNKNOWN), 2 * float(r[0]))
    cell, periodic = frame.cell, frame.periodic
    bonded = covalent_bonds(np.unique(frame.numbers))
    minima = pair_cutoffs(
        frame.positions, species, edges, cell, periodic, bonded=bonded, few=bulk.cutoff, workspace=thread_workspace()
    )
    unknown = np.isnan(minima.cutoff)
    return PairCutoffs(np.where(unknown, bulk.cutoff, minima.cutoff), np.where(unknown, bulk.error, minima.error))


def _bulk_distances(elements: Array, params: CoordinationParams) -> PairCutoffs:
    reach = _reaches(params)[elements]
    return _without_error(0.5 * (reach[:, None] + reach[None]))


def _without_error(cutoff: Array) -> PairCutoffs:
    return PairCutoffs(cutoff, np.full(cutoff.shape, np.nan))


def _of_pairs(frame: AtomsFrame, elements: Array, cutoffs: PairCutoffs) -> tuple[Array, Array]:
    """Return cutoff and error of the pairs of the run; NaN where the frame has none of the elements."""
    place = np.full(256, -1)
    place[elements] = np.arange(len(elements))
    one, other = place[frame[ELEMENT_1]], place[frame[ELEMENT_2]]
    there = (one >= 0) & (other >= 0)
    cutoff, error = np.full((2, len(one)), np.nan)
    cutoff[there], error[there] = cutoffs.cutoff[one[there], other[there]], cutoffs.error[one[there], other[there]]
    return cutoff, error


def cutoffs_of(frame: AtomsFrame, elements: Array) -> Array:
    """Return the distance (n, n) below which two of n elements are neighbours in a frame; 0 where none is known."""
    found = np.zeros((256, 256))
    one, other, cutoff = frame[ELEMENT_1], frame[ELEMENT_2], np.nan_to_num(frame[CUTOFF])
    found[one, other] = found[other, one] = cutoff
    among: Array = found[np.ix_(elements, elements)]
    return among


@cache
def _reaches(params: CoordinationParams) -> Array:
    """Return the reach [angstrom] of every atomic number."""
    if params.lattice_parameter != "auto":
        return np.full(256, REACH * np.sqrt(2) / 2 * params.lattice_parameter.angstrom())
    return REACH * np.array([nearest_distance(number) for number in range(256)])


ANALYSIS = Analysis(
    name="coordination",
    kind="atoms",
    summary="Coordination number of each atom, by first minima of g(r), bulk distances or its lattice, and a histogram",
    params=CoordinationParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.coordination",
    needs=("positions", "rdf"),
    prepare=prepare,
    run=run,
)
