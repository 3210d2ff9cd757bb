"""Bond-orientational order: q, w and their averages, crystallinity of bonds and atoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from stemdask.adapters import pyboo
from stemdask.analyses.atoms.order import rdf
from stemdask.errors import FrameError
from stemdask.kernels.atoms import neighbour_rules
from stemdask.kernels.atoms.bond_order import BondOrder, bond_order
from stemdask.kernels.atoms.bonds import Bonds, bonds, mean_bond_length
from stemdask.kernels.atoms.crystallinity import Criterion, crystallinity
from stemdask.kernels.atoms.neighbours import Neighbours, find_neighbours
from stemdask.kernels.atoms.workspace import thread_workspace
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.units import LengthAngstrom


class BondOrderParams(Params):
    """Bond-orientational order parameters."""

    l: Annotated[tuple[Annotated[int, Field(ge=1, le=20)], ...], Field(min_length=1)] = (4, 6)  # noqa: E741
    """Degrees of the spherical harmonics, even or odd."""
    neighbours: Literal["cutoff", "nearest", "sann", "voronoi"] = "cutoff"
    """Neighbours: all atoms within the cutoff, the nearest ones, by solid angle, or by area of Voronoi faces."""
    cutoff: Literal["auto"] | LengthAngstrom = "auto"
    """Longest bond; auto: the first minimum of g(r)."""
    n_nearest: Annotated[int, Field(ge=1, le=100)] = 12
    """Number of neighbours if `neighbours` is nearest."""
    convention: Literal["lechner-dellago", "pyboo"] = "lechner-dellago"
    """Averages over the neighbours and the atom itself (lechner-dellago), or over the neighbours alone (pyboo)."""
    normalisation: Literal["none", "steinhardt"] = "none"
    """Normalisation of w: none, as in pyboo, or by the length of q_lm to the third power, as in Steinhardt's paper."""
    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.8
    """Bonds with a larger s6 are crystalline."""
    min_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Atoms with more than this fraction of crystalline bonds are crystalline."""
    min_bonds: Annotated[int, Field(ge=1, le=100)] | None = None
    """Atoms with at least this many crystalline bonds are crystalline, instead of a fraction (ten Wolde)."""
    min_mean: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Crystalline atoms must also have a mean s6 above this."""
    engine: Literal["native", "pyboo"] = "native"
    """Program that computes it."""

    @model_validator(mode="after")
    def _consistent(self) -> BondOrderParams:
        if len(set(self.l)) < len(self.l):
            raise ValueError(f"l: a degree is listed twice in {list(self.l)}")
        if self.engine == "pyboo":
            wrong = [f"l: {degree}" for degree in self.l if degree % 2]
            wrong += [f"neighbours: {self.neighbours}"] if self.neighbours != "cutoff" else []
            wrong += [f"convention: {self.convention}"] if self.convention != "pyboo" else []
            wrong += [f"min_bonds: {self.min_bonds}"] if self.min_bonds is not None else []
            wrong += [f"min_mean: {self.min_mean}"] if self.min_mean is not None else []
            if wrong:
                raise ValueError(
                    f"engine pyboo can't do {', '.join(wrong)}; it takes even l, a cutoff and convention: pyboo"
                )
        return self


_ATOM, _BOND, _FRAME = ("frame", "atom"), ("frame", "bond"), ("frame",)
N_NEIGHBORS = Variable("atoms/n_neighbors", _ATOM, "int32", "1", "number of bonds of the atom")
MEAN_BOND_LENGTH = Variable(
    "atoms/mean_bond_length", _ATOM, "float64", "angstrom", "mean length of the bonds of the atom"
)
CRYSTALLINITY = Variable("atoms/crystallinity", _ATOM, "float64", "1", "mean s6 of the bonds of the atom (C6)")
CRYSTALLINE = Variable(
    "atoms/crystalline",
    _ATOM,
    "int8",
    "1",
    "whether enough bonds of the atom are crystalline",
    flags={0: "not_crystalline", 1: "crystalline"},
)
CRYSTALLINE_MARGIN = Variable(
    "atoms/crystalline_margin", _ATOM, "float64", "1", "rise of the threshold of s6 that changes `crystalline`"
)
ATOM_1 = Variable("bonds/atom_1", _BOND, "int32", "1", "atom with the smaller number")
ATOM_2 = Variable("bonds/atom_2", _BOND, "int32", "1", "atom with the larger number")
S6 = Variable("bonds/s6", _BOND, "float64", "1", "normalised product of the degree-6 coefficients of both atoms")
N_DISORDERED = Variable("particle/n_disordered", _FRAME, "int32", "1", "atoms that are not crystalline", trend=True)
FRACTION_DISORDERED = Variable(
    "particle/fraction_disordered", _FRAME, "float64", "1", "fraction of atoms that are not crystalline"
)


@cache
def invariant(name: str) -> Variable:
    """Return the variable of an order parameter by its name, such as ``q6_avg``."""
    kind, degree, suffix = name[0], name[1:].removesuffix("_avg"), name.endswith("_avg")
    of = " of the coefficients averaged over the neighbours" if suffix else ""
    return Variable(f"atoms/{name}", _ATOM, "float64", "1", f"{_KINDS[kind]} of degree {degree}{of}")


_KINDS = {"q": "bond-orientational order", "w": "third-order invariant"}
#: Those that the figures draw, where their degrees are computed.
Q4_AVG, Q6_AVG, W6_AVG = invariant("q4_avg"), invariant("q6_avg"), invariant("w6_avg")


def outputs(params: BondOrderParams) -> tuple[Variable, ...]:
    """Declare the order parameters of each l, and what follows from s6."""
    invariants = tuple(
        invariant(f"{kind}{degree}{suffix}")
        for degree in params.l
        for kind in _kinds(degree)
        for suffix in ("", "_avg")
    )
    of_atoms = (N_NEIGHBORS, MEAN_BOND_LENGTH, CRYSTALLINITY, CRYSTALLINE, CRYSTALLINE_MARGIN)
    return (*invariants, *of_atoms, ATOM_1, ATOM_2, S6, N_DISORDERED, FRACTION_DISORDERED)


def prepare(frames: Sequence[Frame], params: BondOrderParams) -> Mapping[str, Array]:
    """Tell before the run whether the engine is there."""
    if params.engine == "pyboo":
        pyboo.load()
    return {}


def run(frame: AtomsFrame, params: BondOrderParams) -> Mapping[str, Array]:
    """Compute the order parameters of one frame."""
    neighbours = _neighbours(frame, params)
    bonded = bonds(neighbours)
    order = _order(frame, neighbours, bonded, params)
    arrays: dict[str, Array] = {}
    for k, degree in enumerate(params.l):
        found = {"q": (order.q[k], order.q_avg[k]), "w": (order.w[k], order.w_avg[k])}
        for kind in _kinds(degree):
            for suffix, values in zip(("", "_avg"), found[kind], strict=True):
                arrays[invariant(f"{kind}{degree}{suffix}").path] = values
    n = len(frame.positions)
    disordered = int((order.crystalline == 0).sum())
    return arrays | {
        N_NEIGHBORS.path: neighbours.counts.astype(np.int32),
        MEAN_BOND_LENGTH.path: mean_bond_length(neighbours),
        CRYSTALLINITY.path: order.crystallinity,
        CRYSTALLINE.path: order.crystalline,
        CRYSTALLINE_MARGIN.path: order.margin,
        ATOM_1.path: bonded.atom_1,
        ATOM_2.path: bonded.atom_2,
        S6.path: order.s6[bonded.entry],
        N_DISORDERED.path: np.array(disordered, np.int32),
        FRACTION_DISORDERED.path: np.array(disordered / n if n else np.nan),
    }


def _kinds(degree: int) -> str:
    """Name the invariants of a degree; w of an odd one is zero by symmetry."""
    return "q" if degree % 2 else "qw"


def _neighbours(frame: AtomsFrame, params: BondOrderParams) -> Neighbours:
    positions, cell, periodic = frame.positions, frame.cell, frame.periodic
    if params.neighbours == "nearest":
        return neighbour_rules.nearest(positions, params.n_nearest, cell, periodic)
    if params.neighbours == "sann":
        return neighbour_rules.sann(positions, cell, periodic)
    if params.neighbours == "voronoi":
        return neighbour_rules.voronoi(positions, cell, periodic)
    cutoff = float(frame[rdf.CUTOFF]) if params.cutoff == "auto" else params.cutoff.angstrom()
    return find_neighbours(positions, cutoff, cell, periodic, workspace=thread_workspace())


def _criterion(params: BondOrderParams) -> Criterion:
    least = Criterion(params.threshold, params.min_fraction, params.min_bonds or 0)
    return least if params.min_mean is None else least._replace(min_mean=params.min_mean)


def _order(frame: AtomsFrame, neighbours: Neighbours, bonded: Bonds, params: BondOrderParams) -> BondOrder:
    if params.engine == "pyboo":
        return _pyboo(frame, neighbours, bonded, params)
    return bond_order(
        neighbours,
        params.l,
        convention=params.convention,
        normalisation=params.normalisation,
        criterion=_criterion(params),
        workspace=thread_workspace(),
    )


def _pyboo(frame: AtomsFrame, neighbours: Neighbours, bonded: Bonds, params: BondOrderParams) -> BondOrder:
    if any(frame.periodic):
        raise FrameError("pyboo accepts isolated particles only", value=frame.periodic, remedy="Use engine: native")
    found = pyboo.bond_order(
        frame.positions,
        np.column_stack([bonded.atom_1, bonded.atom_2]),
        params.l,
        normalised=params.normalisation == "steinhardt",
        threshold=params.threshold,
        min_fraction=params.min_fraction,
    )
    # The entries that lead back to the smaller atom are the same bonds, ordered by the larger one.
    s6 = np.empty(len(neighbours.point))
    s6[bonded.entry] = found["s6"]
    backward = np.flatnonzero(neighbours.centre > neighbours.other)
    s6[backward] = found["s6"][np.lexsort((bonded.atom_1, bonded.atom_2))]
    margin = crystallinity(neighbours.first, s6, _criterion(params)).margin
    return BondOrder(
        found["q"],
        found["q_avg"],
        found["w"],
        found["w_avg"],
        s6,
        found["crystallinity"],
        found["crystalline"],
        margin,
    )


ANALYSIS = Analysis(
    name="bond_order",
    kind="atoms",
    summary="Bond-orientational order q, w and their averages over the neighbours; s6, crystalline atoms",
    params=BondOrderParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.bond_order",
    needs=("positions", "rdf"),
    prepare=prepare,
    run=run,
)
