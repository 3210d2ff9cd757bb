"""How sure the numbers are: what errors of the coordinates and another cutoff would do to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator

from stemdask.analyses.atoms.derived.other_results import in_words, not_given, of_atoms
from stemdask.analyses.atoms.order import bond_order, coordination, rdf
from stemdask.analyses.atoms.shape import lattice_fit, shape
from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable
from stemdask.units import Length, LengthAngstrom

#: Separates the random numbers of this analysis from all others of the same frame.
STREAM = 0x6A697474
#: Standard error of coordinates along each axis [angstrom] that is usual of reconstructions.
USUAL = 0.2
GIVEN, ASSUMED, BOUND = 0, 1, 2
COORDINATE_ERROR = Variable(
    "uncertainty/coordinate_error",
    ("frame",),
    "float64",
    "angstrom",
    "standard error of the coordinates along each axis",
)
COORDINATE_ERROR_FROM = Variable(
    "uncertainty/coordinate_error_from",
    ("frame",),
    "int8",
    "1",
    "where the error of the coordinates comes from",
    flags={GIVEN: "given", ASSUMED: "assumed", BOUND: "distances from the lattice"},
)


class UncertaintyParams(Params):
    """Uncertainty of the numbers of a frame."""

    of: Annotated[tuple[str, ...], Field(min_length=1)] = (
        shape.DIAMETER.path,
        shape.HULL_VOLUME.path,
        bond_order.N_DISORDERED.path,
        bond_order.FRACTION_DISORDERED.path,
        coordination.MEAN_COORDINATION.path,
        rdf.CUTOFF.path,
        bond_order.N_NEIGHBORS.path,
        bond_order.MEAN_BOND_LENGTH.path,
        bond_order.CRYSTALLINITY.path,
    )
    """Results of other analyses of the run, by group and name; of those with a value for each atom, the mean."""
    coordinate_error: Literal["auto"] | LengthAngstrom = "auto"
    """Standard error of the coordinates along each axis, by which they are displaced; auto: 0.2 angstrom, or less if
    the distances of the atoms from the fitted lattice are smaller."""
    n_samples: Annotated[int, Field(ge=2, le=10_000)] = 20
    """Number of random displacements; each costs as much as the analyses that give the results."""
    cutoff_step: LengthAngstrom = Length(0.05, "angstrom")
    """Shift of the first minimum of g(r), in both directions, to measure the dependence on it."""

    @field_validator("of")
    @classmethod
    def _names_differ(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        names = [_name(path) for path in paths]
        if wrong := [path for path in paths if path.count("/") != 1]:
            raise ValueError(
                f"{wrong[0]!r} is not the name of a result; write group and name, such as 'particle/diameter'"
            )
        if profiles := [path for path in paths if path.startswith("profile/")]:
            raise ValueError(f"{profiles[0]!r} is a profile, which has an error of its own")
        if len(set(names)) < len(names):
            raise ValueError(f"two results have the same name in {list(paths)}")
        return paths


class Uncertainty(NamedTuple):
    """The variables that say how uncertain a result is."""

    error: Variable
    shift: Variable
    slope: Variable


def variables_of(path: str, units: str = "1") -> Uncertainty:
    """Return the variables of the spread, the shift and the slope of a result."""
    frame, name = ("frame",), f"uncertainty/{_name(path)}"
    slope = "1" if units == "angstrom" else f"{units}/angstrom"
    is_mean = path.startswith(of_atoms("")) or _name(path).startswith("mean_")
    of = ("mean " if is_mean else "") + in_words(_name(path))
    return Uncertainty(
        Variable(name, frame, "float64", units, f"standard error of {of}, from the error of the coordinates"),
        Variable(f"{name}_shift", frame, "float64", units, f"mean change of {of} by the error of the coordinates"),
        Variable(f"{name}_slope", frame, "float64", slope, f"change of {of} with the cutoff"),
    )


def outputs(params: UncertaintyParams, known: Mapping[str, Variable]) -> tuple[Variable, ...]:
    """Declare the spread, the shift and the slope of each result."""
    units = {path: known[path].units if path in known else "1" for path in params.of}
    of_results = (variable for path in params.of for variable in variables_of(path, units[path]))
    return (COORDINATE_ERROR, COORDINATE_ERROR_FROM, *of_results)


def run(
    frame: AtomsFrame,
    params: UncertaintyParams,
    repeat: Callable[[AtomsFrame, Mapping[str, Array], Sequence[str]], Mapping[str, Array]],
) -> Mapping[str, Array]:
    """Repeat the analyses before this one on displaced coordinates, and with the cutoff moved.

    The coordinates hold their errors already, so displacing adds them a second time: the spread is that of one
    measurement, and the shift says how far the errors have moved the result, to first order.

    Raises
    ------
    ConfigError
        A result that no analysis of this run gives.
    """
    measured = _values(frame.results, params)
    error, source = _coordinate_error(frame, params)
    shaken = []
    for sample in range(params.n_samples):
        random = np.random.default_rng((STREAM, frame.index, sample))
        positions = frame.positions + random.normal(scale=error, size=frame.positions.shape)
        shaken.append(_values(repeat(_copy(frame, positions), {}, params.of), params))
    step = params.cutoff_step.angstrom()
    cutoff = frame[rdf.CUTOFF]
    less, more = (
        _values(repeat(_copy(frame, frame.positions), {rdf.CUTOFF.path: np.asarray(cutoff + moved)}, params.of), params)
        for moved in (-step, step)
    )
    spread, shift = _spread_and_mean(np.array(shaken) - measured)
    slope = (more - less) / (2 * step)
    arrays: dict[str, Array] = {
        COORDINATE_ERROR.path: np.array(error),
        COORDINATE_ERROR_FROM.path: np.array(source, np.int8),
    }
    for k, path in enumerate(params.of):
        for variable, values in zip(variables_of(path), (spread, shift, slope), strict=True):
            arrays[variable.path] = np.array(values[k])
    return arrays


def _coordinate_error(frame: AtomsFrame, params: UncertaintyParams) -> tuple[float, int]:
    """Return the error of the coordinates along an axis, and where it comes from.

    Atoms can't be less exact than they lie on a lattice: with n of them fitted by the twelve numbers of one, their
    squared distances from it sum to 3 n - 12 times the square of the error, strain and heat not counted.
    """
    if params.coordinate_error != "auto":
        return params.coordinate_error.angstrom(), GIVEN
    n, rms = int(frame[lattice_fit.N_CORE]), float(frame[lattice_fit.RMS])
    bound = rms * np.sqrt(n / (3 * n - 12)) if n > 4 else np.nan
    return (float(bound), BOUND) if bound < USUAL else (USUAL, ASSUMED)


def _copy(frame: AtomsFrame, positions: Array) -> AtomsFrame:
    """Return a frame with other positions; its results are a copy, which the steps may fill anew."""
    return AtomsFrame(
        frame.index, positions, frame.numbers, frame.cell, frame.periodic, frame.time, dict(frame.results)
    )


def _values(results: Mapping[str, Array], params: UncertaintyParams) -> Array:
    """Return each result as one number: the mean where there are many, NaN where there is none."""
    values = np.full(len(params.of), np.nan)
    for k, path in enumerate(params.of):
        if path not in results:
            known = (p for p in results if p.startswith(("particle/", "atoms/", "rdf/")))
            raise not_given("result", "analyses.uncertainty.of", path, known)
        array = np.asarray(results[path], dtype=float)
        there = array[np.isfinite(array)]
        if there.size:
            values[k] = there.mean()
    return values


def _spread_and_mean(changes: Array) -> tuple[Array, Array]:
    """Return standard deviation and mean of each column without its NaN; NaN where fewer than two are left."""
    there = np.isfinite(changes)
    n = there.sum(axis=0)
    mean = np.divide(np.where(there, changes, 0).sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 1)
    squares = np.where(there, (changes - mean) ** 2, 0).sum(axis=0)
    return np.sqrt(np.divide(squares, n - 1, out=np.full(len(n), np.nan), where=n > 1)), mean


def _name(path: str) -> str:
    return path.rpartition("/")[2]


ANALYSIS = Analysis(
    name="uncertainty",
    kind="atoms",
    summary="Uncertainty of any number of a frame from errors of the coordinates, and its dependence on the cutoff",
    params=UncertaintyParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.uncertainty",
    needs=("shape", "rdf", "coordination", "bond_order", "lattice_fit"),
    after=("surface", "structure", "finite_rdf", "clusters", "centrosymmetry", "voronoi", "facets"),
    run=run,
    derives=True,
    repeats=True,
)
