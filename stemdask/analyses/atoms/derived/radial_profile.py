"""Profiles of any property of the atoms from the centre to the surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from stemdask.analyses.atoms.derived.other_results import in_words, not_given, of_atoms
from stemdask.analyses.atoms.sample import sample
from stemdask.analyses.atoms.shape import shape, surface
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.units import Length, LengthAngstrom

#: Frames looked at for the size of the particle, spread evenly.
PROBES = 32


class RadialProfileParams(Params):
    """Radial profiles."""

    properties: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "crystallinity",
        "q4_avg",
        "q6_avg",
        "coordination",
        "mean_bond_length",
    )
    """Properties of the atoms, by their names in the store's group `atoms`; flags give fractions."""
    by: Literal["distance_to_center", "depth"] = "distance_to_center"
    """Coordinate of an atom: distance from the centre, or depth below the surface."""
    width: LengthAngstrom = Length(2.0, "angstrom")
    """Width of a shell."""

    @field_validator("properties")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"a property is listed twice in {list(names)}")
        if wrong := [name for name in names if not name.isidentifier()]:
            raise ValueError(f"{wrong[0]!r} is not the name of a property; write for example 'crystallinity'")
        return names


#: Where an atom is.
PLACES = {"distance_to_center": shape.DISTANCE_TO_CENTER, "depth": surface.DEPTH}
N = Variable("profile/n", ("frame", "shell"), "int32", "1", "atoms in the shell")


def shell_of(params: RadialProfileParams) -> Variable:
    """Return the variable of the shells."""
    where = {"distance_to_center": "distance to the centre", "depth": "depth below the surface"}[params.by]
    return Variable(
        "profile/shell", ("shell",), "float64", "angstrom", f"{where}, middle of the shell", stage="prepare"
    )


def profile_of(name: str, units: str) -> tuple[Variable, Variable]:
    """Return the variables of the mean of a property over the shells, and of its error."""
    dims, path, text = ("frame", "shell"), f"profile/{name}", in_words(name)
    return (
        Variable(path, dims, "float64", units, f"mean {text} of the shell", error=f"{path}_err"),
        Variable(f"{path}_err", dims, "float64", units, f"standard error of the mean {text}"),
    )


def outputs(params: RadialProfileParams, known: Mapping[str, Variable]) -> tuple[Variable, ...]:
    """Declare a profile and its error for each property."""
    units = {name: known[of_atoms(name)].units if of_atoms(name) in known else "1" for name in params.properties}
    profiles = (variable for name in params.properties for variable in profile_of(name, units[name]))
    return (shell_of(params), N, *profiles)


def prepare(frames: Sequence[Frame], params: RadialProfileParams) -> Mapping[str, Array]:
    """Choose as many shells as the largest particle needs; the last one holds all that is farther too."""
    longest = 0.0
    for frame in sample(frames, PROBES):
        placed = frame.positions[np.isfinite(frame.positions).all(axis=1)]
        if len(placed):
            longest = max(longest, float(np.linalg.norm(placed - placed.mean(axis=0), axis=1).max()))
    width = params.width.angstrom()
    return {shell_of(params).path: (np.arange(max(int(np.ceil(longest / width)), 1)) + 0.5) * width}


def run(frame: AtomsFrame, params: RadialProfileParams) -> Mapping[str, Array]:
    """Average each property over the shells of one frame.

    Raises
    ------
    ConfigError
        A property that no analysis of this run gives.
    """
    n_shells = len(frame[shell_of(params)])
    place = frame[PLACES[params.by]]
    inside = np.isfinite(place)
    shell = np.full(len(place), -1)
    shell[inside] = np.minimum(place[inside] / params.width.angstrom(), n_shells - 1).astype(int)
    arrays: dict[str, Array] = {N.path: np.bincount(shell[inside], minlength=n_shells).astype(np.int32)}
    for name in params.properties:
        path = of_atoms(name)
        if path not in frame.results:
            known = (p.removeprefix(of_atoms("")) for p in frame.results if p.startswith(of_atoms("")))
            raise not_given("property", "analyses.radial_profile.properties", name, known)
        values = frame.results[path]
        known_values = inside & (np.isfinite(values) if values.dtype.kind == "f" else values >= 0)
        mean, error = _means(shell[known_values], values[known_values].astype(float), n_shells)
        for variable, values in zip(profile_of(name, "1"), (mean, error), strict=True):
            arrays[variable.path] = values
    return arrays


def _means(shell: Array, values: Array, n: int) -> tuple[Array, Array]:
    """Return the mean of each shell and its standard error; NaN in an empty shell, and for the error of one atom."""
    counts = np.bincount(shell, minlength=n)
    mean = np.divide(np.bincount(shell, values, n), counts, out=np.full(n, np.nan), where=counts > 0)
    squares = np.bincount(shell, (values - mean[shell]) ** 2, n)
    free = counts * (counts - 1.0)
    error = np.sqrt(np.divide(squares, free, out=np.full(n, np.nan), where=free > 0))
    return mean, error


ANALYSIS = Analysis(
    name="radial_profile",
    kind="atoms",
    summary="Profiles of any property of the atoms from the centre to the surface, or by depth",
    params=RadialProfileParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.radial_profile",
    needs=("shape", "surface", "coordination", "bond_order"),
    after=("structure", "lattice_fit", "finite_rdf", "clusters", "nearest", "centrosymmetry", "voronoi"),
    prepare=prepare,
    run=run,
    derives=True,
)
