"""The store as tables: which there are, and the rows of one block.

Every set of variables of one group with the same dimensions is a table; rows are the items that a frame really has.
Variables with one value per frame, of all groups, form the table "frames".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from stemdask.analyses.atoms.order import bond_angles, bond_order, coordination, nearest, rdf
from stemdask.analyses.atoms.shape import positions
from stemdask.analyses.images.columns import lattice
from stemdask.model import Array
from stemdask.results.blocks import Blocks, Stored
from stemdask.store import layout

_IMAGE_DIMS = frozenset({"y", "x"})
#: Columns that say which item a row is, and where; the others follow by name.
_FIRST = tuple(
    dict.fromkeys(
        path.rpartition("/")[2]
        for path in (
            layout.STATUS,
            layout.FILE,
            layout.TIME,
            positions.ELEMENT.path,
            *(axis.path for axis in (positions.X, positions.Y, positions.Z)),
            lattice.SUBLATTICE.path,
            lattice.I.path,
            lattice.J.path,
            rdf.R.path,
            coordination.CN.path,
            coordination.ELEMENT_1.path,
            coordination.ELEMENT_2.path,
            *(element.path for element in bond_angles.ELEMENTS),
            nearest.CENTER.path,
            nearest.NEIGHBOR.path,
            nearest.RANK.path,
            bond_order.ATOM_1.path,
            bond_order.ATOM_2.path,
        )
    )
)


@dataclass(frozen=True, slots=True)
class Table:
    """One table."""

    name: str
    dims: tuple[str, ...]
    columns: tuple[Stored, ...]
    """Variables over all of `dims`, or over some of them (and repeated along the others)."""

    def label(self, column: Stored) -> str:
        """Return the name of a column; that of another group carries the group."""
        return column.path if self.name == "frames" and column.group != "frames" else column.name

    @property
    def counters(self) -> tuple[str, ...]:
        """Dimensions that no column names: the rows count along them."""
        names = {column.name for column in self.columns}
        return tuple(dim for dim in self.dims if dim not in names)


def find_tables(results: Blocks) -> list[Table]:
    """Return the tables of a store; images, which aren't tables, are left out."""
    found: dict[tuple[str, tuple[str, ...]], list[Stored]] = {}
    for variable in results.variables.values():
        if variable.dims and not _IMAGE_DIMS & set(variable.dims):
            group = "frames" if variable.dims == ("frame",) else variable.group
            found.setdefault((group, variable.dims), []).append(variable)
    for (group, dims), columns in list(found.items()):
        if dims[0] != "frame" and len(dims) == 1:
            hosts = [key for key in found if key[0] == group and key[1][0] == "frame" and dims[0] in key[1]]
            for host in hosts:  # an axis, such as r of g(r)
                found[host] = columns + found[host]
            if hosts:
                del found[group, dims]
    return [
        Table(_name(group, dims, (group, ("frame", "cell")) in found), dims, tuple(sorted(columns, key=_order)))
        for (group, dims), columns in sorted(found.items())
    ]


def find_constants(results: Blocks) -> list[Stored]:
    """Return the variables that a run has only once."""
    return [variable for variable in results.variables.values() if not variable.dims]


def rows(results: Blocks, table: Table) -> Iterator[dict[str, Array]]:
    """Yield the columns block by block, counters first."""
    framed = table.dims[0] == "frame"
    whole = next(column for column in table.columns if column.dims == table.dims)
    length, *others = results.shape(whole.path)
    for part in results.blocks() if framed else _parts(length):
        shape = (part.stop - part.start, *others)
        chosen = _real_items(results, table, part, shape) if framed and len(shape) > 1 else slice(None)
        block: dict[str, Array] = {}
        for axis, dim in enumerate(table.dims):
            if dim in table.counters:
                count = np.arange(shape[axis]) + (part.start if axis == 0 else 0)
                block[dim] = _spread(count, axis, shape).reshape(-1)[chosen]
        for column in table.columns:
            values = results.read(column.path, part if column.dims[0] == table.dims[0] else slice(None))
            if column.dims != table.dims:
                values = _spread(values, table.dims.index(column.dims[0]), shape)
            block[table.label(column)] = values.reshape(-1)[chosen]
        yield block


def _order(column: Stored) -> tuple[bool, int, str]:
    first = _FIRST.index(column.name) if column.name in _FIRST else len(_FIRST)
    return column.group != "frames" and column.dims == ("frame",), first, column.path


def _name(group: str, dims: tuple[str, ...], has_cells: bool) -> str:
    """Return the name of a table: the group's, for its cells or, where it has none, for the items it is named after."""
    inner = [dim for dim in dims if dim != "frame"]
    if not inner or inner == ["cell"] or (inner == [group.removesuffix("s")] and not has_cells):
        return group
    return "_".join([group.replace("/", "_"), *inner])


def _parts(length: int) -> Iterator[slice]:
    for start in range(0, length, 1024):
        yield slice(start, min(start + 1024, length))


def _real_items(results: Blocks, table: Table, frames: slice, shape: tuple[int, ...]) -> Array:
    """Return which of the flattened items are not padding and belong to frames with results."""
    real = np.broadcast_to(_spread(results.good(frames), 0, shape), shape).copy()
    for axis, dim in enumerate(table.dims[1:], 1):
        lengths = results.lengths(dim, frames)
        if lengths is not None:
            real &= _spread(np.arange(shape[axis]), axis, shape) < _spread(lengths, 0, shape)
    return np.flatnonzero(real)


def _spread(values: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """Repeat values along all axes but one."""
    lengths = [1] * len(shape)
    lengths[axis] = shape[axis]
    assert values.size == prod(lengths)
    return np.broadcast_to(values.reshape(lengths), shape)
