"""The crystal structure that a config names: its columns along a zone axis, and which sublattice is which of them."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from string import ascii_uppercase
from typing import Any

import numpy as np

from stemdask.analyses.given_file import GivenFile
from stemdask.analyses.images.columns import columns
from stemdask.analyses.images.stack.preprocess import INVERTED
from stemdask.errors import FrameError, InputError
from stemdask.kernels.images.crystal.lattice import Lattice
from stemdask.kernels.images.crystal.projection import Projection, match, project
from stemdask.kernels.images.finding.columns import MAX_SUBLATTICES
from stemdask.model import Array, ImageFrame, Stack, Variable

_ANGSTROM = 0.1
_MOST_ATOMS = 500
#: An atom is as bright as its atomic number to this power, roughly, in a dark field at high angles (Krivanek 2010).
_POWER = 1.7
#: Part of the sublattice with most columns that another needs to be of the crystal.
_FEWEST = 0.1
#: Where columns are dark, their contrast rises far slower with the atomic number than in a dark field: brightness to
#: this power is about Z to the third, and oxygen columns are seen.
_DARK = 0.2


def _constant(name: str, dims: tuple[str, ...], dtype: str, units: str, long_name: str) -> Variable:
    return Variable(f"lattice/structure_{name}", dims, dtype, units, long_name, stage="prepare")


_OF_COLUMN, _FRAME = ("structure_column",), ("frame",)
VECTORS = _constant("vectors", ("vector", "axis"), "float64", "angstrom", "vectors of the projected structure, (y, x)")
Y = _constant("y", _OF_COLUMN, "float64", "angstrom", "column of the projected structure along y")
X = _constant("x", _OF_COLUMN, "float64", "angstrom", "column of the projected structure along x")
BRIGHTNESS = _constant("brightness", _OF_COLUMN, "float64", "1", "sum of Z to the power 1.7 over the atoms of a column")
NUMBERS = _constant(
    "elements", (*_OF_COLUMN, "structure_element"), "int16", "1", "atomic numbers in a column, brightest first, 0 none"
)
COLUMN = Variable(
    "lattice/structure_column",
    ("frame", "sublattice"),
    "int8",
    "1",
    "column of the structure of each sublattice; -1 none",
)
SCALE = Variable("lattice/scale", _FRAME, "float64", "1", "a length in the structure over the same in the image")
#: Where the structure has the sublattices, from A, in units of the vectors a and b; for the displacements.
SITE = Variable(
    "lattice/site", ("frame", "sublattice", "vector"), "float64", "1", "place in the structure", stored=False
)
CONSTANTS = (VECTORS, Y, X, BRIGHTNESS, NUMBERS)
VARIABLES = (*CONSTANTS, COLUMN, SCALE, SITE)


def read(file: GivenFile, zone: tuple[int, int, int]) -> dict[str, Array]:
    """Read a structure and project it along a zone axis; returns its columns by the path of their variables.

    Raises
    ------
    InputError
        The file isn't the CIF of a crystal.
    """
    cell, positions, numbers, occupancy = _atoms(file)
    seen = project(cell, positions, occupancy * numbers**_POWER, zone)
    of_columns = [_brightest_first(numbers[seen.column == k]) for k in range(len(seen.places))]
    elements = np.zeros((len(of_columns), max(map(len, of_columns))), np.int16)
    for k, found in enumerate(of_columns):
        elements[k, : len(found)] = found
    values: Sequence[Array] = (seen.vectors, seen.places[:, 0], seen.places[:, 1], seen.brightness, elements)
    return {variable.path: value for variable, value in zip(CONSTANTS, values, strict=True)}


def _atoms(file: GivenFile) -> tuple[Array, Array, Array, Array]:
    """Return cell, positions, atomic numbers and occupancies; a site of several elements is there for each."""
    from ase.data import atomic_numbers
    from ase.io.cif import read_cif

    content = file.text()
    try:
        crystal: Any = read_cif(StringIO(content), index=0)
    except Exception as error:  # noqa: BLE001  ASE raises what it likes at what is no CIF
        raise InputError(f"the structure can't be read: {error}", where=file.path, allowed="a CIF") from None
    if not 0 < len(crystal) <= _MOST_ATOMS or abs(np.linalg.det(crystal.cell)) < 1.0:
        raise InputError(
            "the structure isn't a crystal",
            where=file.path,
            value=f"{len(crystal)} atoms",
            allowed="1 to 500 in a cell",
        )
    shared = crystal.info.get("occupancy")
    kinds = crystal.arrays.get("spacegroup_kinds")
    sites = [
        (place, atomic_numbers[symbol], part)
        for k, place in enumerate(crystal.positions)
        for symbol, part in (shared[str(kinds[k])] if shared else {crystal.symbols[k]: 1.0}).items()
    ]
    place, number, part = zip(*sites, strict=True)
    return np.asarray(crystal.cell), np.array(place), np.array(number), np.array(part, float)


def _brightest_first(numbers: Array) -> Array:
    """Return the elements of a column, those with the largest share of Z to the power 1.7 first."""
    elements, counts = np.unique(numbers, return_counts=True)
    return np.asarray(elements[np.argsort(-counts * elements.astype(float) ** _POWER, kind="stable")])


def matched(frame: ImageFrame, lattice: Lattice, sublattice: Array, name: str) -> dict[str, Array]:
    """Find out which columns of the structure the sublattices of a frame are.

    Parameters
    ----------
    frame
        With its columns.
    lattice
        Of the A columns of the first grain.
    sublattice
        (n,), of the columns.
    name
        Of the structure.

    Raises
    ------
    FrameError
        The lattice isn't the structure's.
    """
    position, i, j = (
        np.column_stack([frame[columns.Y], frame[columns.X]]),
        frame[columns.FOUND_I],
        frame[columns.FOUND_J],
    )
    of_grain = np.isfinite(position).all(axis=1) & (frame[columns.FOUND_GRAIN] == 0) & (sublattice >= 0)
    count = np.bincount(sublattice[of_grain], minlength=MAX_SUBLATTICES)
    kinds = np.flatnonzero(count > _FEWEST * max(1, count.max()))
    seen = Projection(frame[VECTORS], np.column_stack([frame[Y], frame[X]]), frame[BRIGHTNESS], np.empty(0, np.intp))
    if bool(frame.get(INVERTED, np.asarray(False))):
        seen = seen._replace(brightness=seen.brightness**_DARK)
    vectors = np.stack([lattice.a, lattice.b]) / _ANGSTROM
    places, heights = np.empty((len(kinds), 2)), np.empty(len(kinds))
    for k, kind in enumerate(kinds):
        of = of_grain & (sublattice == kind)
        places[k] = np.median(position[of] - lattice.at(i[of], j[of]), axis=0) / _ANGSTROM
        heights[k] = np.nanmedian(frame[columns.AMPLITUDE][of])
    found = None
    if len(kinds) and np.isfinite(vectors).all():
        known = heights if np.isfinite(heights).all() else np.ones(len(kinds))
        found = match(vectors, places - places[0], known, seen, calibrated=frame.calibrated)
    if found is None:
        raise FrameError(
            "the lattice of the image isn't that of the structure along this zone axis",
            where="lattice.structure",
            value=_described(vectors, len(kinds), frame.calibrated),
            allowed=f"{_described(seen.vectors, len(seen.places), True)} of {name}",
            remedy="Check structure and zone; where the image shows the cell wrongly, set columns.vectors and "
            "columns.sublattices",
        )
    column, site = np.full(MAX_SUBLATTICES, -1, np.int8), np.full((MAX_SUBLATTICES, 2), np.nan)
    column[kinds], site[kinds] = found.column, found.places @ np.linalg.inv(vectors)
    values = (column, found.scale, site)
    return {
        variable.path: np.asarray(value) for variable, value in zip(VARIABLES[len(CONSTANTS) :], values, strict=True)
    }


def _described(vectors: Array, n: int, calibrated: bool) -> str:
    unit = "nm" if calibrated else "px"
    a, b = np.hypot(*vectors.T)
    angle = np.degrees(np.arccos(float(vectors[0] @ vectors[1]) / (a * b)))
    return f"{_ANGSTROM * a:.3f} × {_ANGSTROM * b:.3f} {unit}, {angle:.0f}°, {n} column{'s' * (n != 1)} per cell"


def elements(stack: Stack) -> list[str]:
    """Return the elements of the sublattices of most frames, A first, such as ["Ba", "Ti/O"]; "" of what is unknown."""
    from ase.data import chemical_symbols

    numbers, found = stack.read(NUMBERS.path), stack.read(COLUMN.path)
    named = []
    for of_sublattice in found.T:
        known = of_sublattice[of_sublattice >= 0]
        column = numbers[int(np.bincount(known).argmax())] if len(known) else ()
        named.append("/".join(chemical_symbols[number] for number in column if number))
    return named


def names(stack: Stack) -> list[str]:
    """Return the names of the sublattices with their elements, such as "A (Ba)"."""
    return [f"{letter} ({of})" if of else letter for letter, of in zip(ascii_uppercase, elements(stack), strict=False)]
