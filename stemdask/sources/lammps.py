"""LAMMPS text dumps (`dump custom`): wrapped, unwrapped or scaled coordinates, orthogonal or tilted boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemdask.errors import InputError
from stemdask.sources.structure import Structure, words
from stemdask.sources.text_index import FrameIndex, LineReader, cut_off, index_counted
from stemdask.sources.text_numbers import parse_fields, split_lines


def index(path: str, size: int) -> FrameIndex:
    """Find the byte range and the atom count of every snapshot."""

    def header(lines: LineReader, first: bytes) -> int:
        if not first.startswith(b"ITEM:"):
            raise InputError(
                "a snapshot must begin with ITEM:", where=path, value=first[:40].decode("ascii", "replace")
            )
        n_atoms, line = -1, first
        while not line.startswith(b"ITEM: ATOMS"):
            following = lines.line()
            if following is None:
                raise cut_off()
            if line.startswith(b"ITEM: NUMBER OF ATOMS"):
                n_atoms = int(following)
            line = following
        return n_atoms

    return index_counted(path, size, header)


def parse(text: bytes) -> Structure:
    """Parse one snapshot; atoms are put in the order of their id."""
    head, _, rest = text.partition(b"ITEM: ATOMS")
    names, _, body = rest.partition(b"\n")
    column = {name.decode("ascii", "replace"): k for k, name in enumerate(names.split())}
    items = _items(head)
    n_atoms = int(items["NUMBER OF ATOMS"][1][0])
    cell, origin, periodic = _box(*items["BOX BOUNDS"])
    axes, scaled = _axes(column)
    symbol = next((column[name] for name in ("element", "type") if name in column), None)
    if symbol is None:
        raise InputError("the dump holds neither element nor type", remedy="Add 'element' to the dump command")
    starts, stops = split_lines(body, n_atoms, max(*axes, symbol, column.get("id", 0)) + 1)
    positions = np.stack([parse_fields(body, starts[:, axis], stops[:, axis]) for axis in axes], axis=1)
    if scaled:
        positions = positions @ cell + origin
    symbols = words(body, starts[:, symbol], stops[:, symbol])
    if "id" in column:
        order = np.argsort(parse_fields(body, starts[:, column["id"]], stops[:, column["id"]]), kind="stable")
        positions, symbols = positions[order], symbols[order]
    if "element" not in column:
        symbols = np.char.add(b"type ", symbols)
    time = items.get("TIME", items.get("TIMESTEP"))
    return Structure(
        positions=np.ascontiguousarray(positions),
        symbols=symbols,
        cell=cell,
        periodic=periodic,
        time=float(time[1][0]) if time else None,
    )


def _items(head: bytes) -> dict[str, tuple[str, list[bytes]]]:
    """Return the header by item: (rest of the ITEM line, its lines)."""
    items: dict[str, tuple[str, list[bytes]]] = {}
    for part in head.split(b"ITEM:")[1:]:
        title, *lines = part.strip().split(b"\n")
        text = title.decode("ascii", "replace").strip()
        name = next((n for n in ("NUMBER OF ATOMS", "BOX BOUNDS", "TIMESTEP", "TIME") if text.startswith(n)), text)
        items[name] = (text[len(name) :].strip(), lines)
    for name in ("NUMBER OF ATOMS", "BOX BOUNDS"):
        if name not in items:
            raise InputError(f"the snapshot has no ITEM: {name}")
    return items


def _axes(column: dict[str, int]) -> tuple[list[int], bool]:
    for names, scaled in (
        (("xu", "yu", "zu"), False),
        (("x", "y", "z"), False),
        (("xsu", "ysu", "zsu"), True),
        (("xs", "ys", "zs"), True),
    ):
        if all(name in column for name in names):
            return [column[name] for name in names], scaled
    raise InputError("the dump holds no coordinates", value=" ".join(column), allowed="x y z, xu yu zu or xs ys zs")


def _box(title: str, lines: list[bytes]) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[bool, bool, bool]]:
    """Return cell rows, origin and periodicity; tilted boxes state the bounds of their bounding box."""
    flags = title.split()
    try:
        bounds = np.array([[float(word) for word in line.split()] for line in lines[:3]])
        if "abc" in flags:  # general triclinic: three vectors, each with a component of the origin
            cell, origin = bounds[:, :3], bounds[:, 3]
            flags = flags[2:]
        else:
            xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
            low = bounds[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
            high = bounds[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
            cell = np.diag(high - low)
            cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
            origin = low
    except (ValueError, IndexError):
        raise InputError("BOX BOUNDS must be three lines of numbers") from None
    periodic = [flag == "pp" for flag in flags[-3:]]
    return cell, origin, (periodic[0], periodic[1], periodic[2]) if len(periodic) == 3 else (False, False, False)
