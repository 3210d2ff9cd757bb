"""The atoms of each frame with their properties, as structure files hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stemdask.errors import StoreError
from stemdask.model import Array
from stemdask.results.blocks import Blocks, Stored
from stemdask.sources.atoms.elements import chemical_symbol, is_anonymous

_NEEDED = ("atoms/x", "atoms/y", "atoms/z", "atoms/element")


@dataclass(frozen=True, slots=True)
class Atoms:
    """One frame."""

    frame: int
    positions: Array
    """(n, 3), angstrom."""
    elements: Array
    """(n,), atomic numbers."""
    properties: dict[str, Array]
    """Other variables of the atoms, (n,) each."""
    scalars: dict[str, float | int | str]
    """Values of the frame as a whole, by name."""


def symbols_of(elements: Array) -> Array:
    """Return the symbols of atomic numbers; X, as the formats have it, of atoms whose element isn't known."""
    known = ["X" if is_anonymous(number) else chemical_symbol(number) for number in range(256)]
    return np.array(known)[elements]


def properties_of(results: Blocks) -> dict[str, Stored]:
    """Return the variables of an atom beside position and element, by name.

    Raises
    ------
    StoreError
        The store holds no atoms.
    """
    if missing := [path for path in _NEEDED if not results.has(path)]:
        raise StoreError(
            f"the store holds no atoms with positions (missing: {', '.join(missing)})",
            where=results.store,
            remedy="Use csv, parquet or, for images, hspy",
        )
    found = [v for v in results.variables.values() if v.dims == ("frame", "atom") and v.path not in _NEEDED]
    return {variable.name if variable.group == "atoms" else variable.path: variable for variable in found}


def read_atoms(results: Blocks, names: list[str] | None = None) -> Iterator[Atoms]:
    """Yield the frames that have results, reading block by block.

    Parameters
    ----------
    results
        The store.
    names
        Properties to read; all when None.
    """
    chosen = {k: v for k, v in properties_of(results).items() if names is None or k in names}
    once = [v for v in results.variables.values() if v.dims == ("frame",)]
    for frames in results.blocks():
        lengths = results.lengths("atom", frames)
        assert lengths is not None
        x, y, z, element = (results.read(path, frames) for path in _NEEDED)
        values = {name: results.read(variable.path, frames) for name, variable in chosen.items()}
        scalars = {variable.path: results.read(variable.path, frames) for variable in once}
        for at in np.flatnonzero(results.good(frames)).tolist():
            n = int(lengths[at])
            yield Atoms(
                frame=frames.start + at,
                positions=np.stack([x[at, :n], y[at, :n], z[at, :n]], axis=1),
                elements=element[at, :n],
                properties={name: array[at, :n] for name, array in values.items()},
                scalars={
                    path: array[at].item() if hasattr(array[at], "item") else str(array[at])
                    for path, array in scalars.items()
                },
            )
