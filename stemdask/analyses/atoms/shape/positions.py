"""The atoms themselves, as the other analyses and every export need them beside the results."""

from __future__ import annotations

from collections.abc import Mapping

from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable


class PositionsParams(Params):
    """Positions and elements have no parameters."""


_ATOM = ("frame", "atom")
X = Variable("atoms/x", _ATOM, "float64", "angstrom", "position of the atom along x", coordinate=True)
Y = Variable("atoms/y", _ATOM, "float64", "angstrom", "position of the atom along y", coordinate=True)
Z = Variable("atoms/z", _ATOM, "float64", "angstrom", "position of the atom along z", coordinate=True)
ELEMENT = Variable("atoms/element", _ATOM, "uint8", "1", "atomic number")


def outputs(params: PositionsParams) -> tuple[Variable, ...]:
    """Declare positions and elements."""
    return X, Y, Z, ELEMENT


def run(frame: AtomsFrame, params: PositionsParams) -> Mapping[str, Array]:
    """Return what was read."""
    x, y, z = frame.positions.T
    return {X.path: x, Y.path: y, Z.path: z, ELEMENT.path: frame.numbers}


ANALYSIS = Analysis(
    name="positions",
    kind="atoms",
    summary="Positions and elements of the atoms",
    params=PositionsParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.positions",
    run=run,
)
