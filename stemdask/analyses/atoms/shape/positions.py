"""The atoms themselves, as the other analyses and every export need them beside the results."""

from __future__ import annotations

from collections.abc import Mapping

from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable


class PositionsParams(Params):
    """Positions and elements have no parameters."""


def outputs(params: PositionsParams) -> tuple[Variable, ...]:
    """Declare positions and elements."""
    atom = ("frame", "atom")
    return (
        Variable("atoms/x", atom, "float64", "angstrom", "position of the atom along x"),
        Variable("atoms/y", atom, "float64", "angstrom", "position of the atom along y"),
        Variable("atoms/z", atom, "float64", "angstrom", "position of the atom along z"),
        Variable("atoms/element", atom, "uint8", "1", "atomic number"),
    )


def run(frame: AtomsFrame, params: PositionsParams) -> Mapping[str, Array]:
    """Return what was read."""
    x, y, z = frame.positions.T
    return {"atoms/x": x, "atoms/y": y, "atoms/z": z, "atoms/element": frame.numbers}


ANALYSIS = Analysis(
    name="positions",
    kind="atoms",
    summary="Positions and elements of the atoms",
    params=PositionsParams,
    outputs=outputs,
    run=run,
)
