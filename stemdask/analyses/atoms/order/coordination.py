"""Coordination number of each atom, from the lattice parameter of its element."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

import numpy as np
from ase.data import covalent_radii, reference_states

from stemdask.kernels.atoms.coordination import coordination
from stemdask.kernels.atoms.workspace import thread_workspace
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.units import LengthAngstrom

#: Two atoms are neighbours below this multiple of the nearest-neighbour distance of the bulk metal.
REACH = 1.2
#: Largest coordination number of the histogram; it counts all that exceed it too.
LARGEST = 20
#: Lattice parameters [angstrom] of Kang et al., github.com/jungwonparklab/analysis-time-resolved-3d-recon-kang.
LATTICE_PARAMETER = {78: 3.912, 79: 4.0782}


class CoordinationParams(Params):
    """Coordination numbers."""

    cutoff: Literal["auto"] | LengthAngstrom = "auto"
    """Distance below which atoms are neighbours; auto: 1.2 times the nearest-neighbour distance of the bulk element."""
    lattice_parameter: Literal["auto"] | LengthAngstrom = "auto"
    """Lattice parameter of the fcc metal, from which the automatic cutoff follows; auto: that of each element."""


_ATOM = ("frame", "atom")
COORDINATION = Variable("atoms/coordination", _ATOM, "int32", "1", "coordination number")
COORDINATION_SAME_ELEMENT = Variable(
    "atoms/coordination_same_element", _ATOM, "int32", "1", "neighbours of the atom's own element"
)
CN = Variable("particle/cn", ("cn",), "int32", "1", "coordination number; the last one and more", stage="prepare")
COORDINATION_HISTOGRAM = Variable(
    "particle/coordination_histogram", ("frame", "cn"), "int64", "1", "atoms with each coordination number"
)
MEAN_COORDINATION = Variable(
    "particle/mean_coordination", ("frame",), "float64", "1", "mean coordination number", trend=True
)


def outputs(params: CoordinationParams) -> tuple[Variable, ...]:
    """Declare the coordination numbers and their histogram."""
    return COORDINATION, COORDINATION_SAME_ELEMENT, CN, COORDINATION_HISTOGRAM, MEAN_COORDINATION


def prepare(frames: Sequence[Frame], params: CoordinationParams) -> Mapping[str, Array]:
    """Return the bins of the histogram."""
    return {CN.path: np.arange(LARGEST + 1, dtype=np.int32)}


def run(frame: AtomsFrame, params: CoordinationParams) -> Mapping[str, Array]:
    """Count the neighbours of each atom."""
    reach = _reaches(params)[frame.numbers]
    found = coordination(
        frame.positions, frame.numbers, reach, frame.cell, frame.periodic, workspace=thread_workspace()
    )
    histogram = np.bincount(np.minimum(found.number, LARGEST), minlength=LARGEST + 1)
    return {
        COORDINATION.path: found.number,
        COORDINATION_SAME_ELEMENT.path: found.same_element,
        COORDINATION_HISTOGRAM.path: histogram,
        MEAN_COORDINATION.path: np.array(found.number.mean() if len(found.number) else np.nan),
    }


def nearest_distance(number: int) -> float:
    """Return the nearest-neighbour distance [angstrom] in the bulk element, or twice its covalent radius.

    Bulk structures are ASE's reference states.
    """
    if number in LATTICE_PARAMETER:
        return LATTICE_PARAMETER[number] * math.sqrt(0.5)
    state = reference_states[number] if number < len(reference_states) else None
    if state is not None and "a" in state:
        factor = {"fcc": np.sqrt(0.5), "bcc": np.sqrt(0.75), "hcp": 1.0, "diamond": np.sqrt(3) / 4, "sc": 1.0}
        if state["symmetry"] in factor:
            return float(state["a"] * factor[state["symmetry"]])
    return 2 * float(covalent_radii[min(number, len(covalent_radii) - 1)])


@cache
def _reaches(params: CoordinationParams) -> Array:
    """Return the reach [angstrom] of every atomic number."""
    if params.cutoff != "auto":
        return np.full(256, params.cutoff.angstrom())
    if params.lattice_parameter != "auto":
        return np.full(256, REACH * np.sqrt(2) / 2 * params.lattice_parameter.angstrom())
    return REACH * np.array([nearest_distance(number) for number in range(256)])


ANALYSIS = Analysis(
    name="coordination",
    kind="atoms",
    summary="Coordination number of each atom, from the lattice parameter of its element, and its histogram",
    params=CoordinationParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.coordination",
    needs=("positions",),
    prepare=prepare,
    run=run,
)
