"""The atoms of a frame where they are."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import bond_order
from stemdask.analyses.atoms.shape import positions
from stemdask.errors import StoreError
from stemdask.figures.atoms.projection import by_property
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results


def plot_structure(results: Results, frame: int = 0, by: str | None = None) -> Figure:
    """Draw the atoms in two projections, coloured by a property of theirs: bond order where it is known, or element."""
    atoms = results.at(positions.X.group, frame)
    by = by or (bond_order.Q6_AVG if bond_order.Q6_AVG in results else positions.ELEMENT).name
    if by not in atoms:
        raise StoreError(f"the atoms have no '{by}'", allowed=", ".join(map(str, atoms.data_vars)))
    return by_property(atoms, by)


def parts(results: Results, frame: int) -> list[Part]:
    """Count the atoms, and show them by element."""
    part = Part(f"Atoms of frame {frame}", rows=[("atoms", str(_count(results, frame)))])
    part.show("The structure in two projections.", lambda: plot_structure(results, frame))
    return [part]


def words(results: Results, frame: int) -> list[str]:
    """Count the atoms."""
    return [f"{_count(results, frame)} atoms"]


def _count(results: Results, frame: int) -> int:
    return int(np.isfinite(results.read(positions.X, frame)).sum())


def method(_: object) -> Method:
    """Say where the positions come from."""
    return Method("Positions and elements of the atoms were taken from the input as they are.")


SHOWS = Shows(parts, {"structure": plot_structure}, words, method=method, slides=("structure",))
