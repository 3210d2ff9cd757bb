"""LAMMPS text dumps (`dump custom`): wrapped, unwrapped or scaled coordinates, orthogonal or tilted boxes."""

from __future__ import annotations

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Floats
from stemdask.kernels.text.roles import SKIP, WORD
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.text_frames import by_range, ends_with_line
from stemdask.sources.atoms.text_index import LineReader, cut_off, index_counted
from stemdask.sources.atoms.text_numbers import parse_table
from stemdask.sources.first_look import FirstLook

#: Lines that each item of a header has below its title (LAMMPS manual, dump command).
_LINES = {b"UNITS": 1, b"TIMESTEP": 1, b"TIME": 1, b"NUMBER OF ATOMS": 1, b"BOX BOUNDS": 3}


def index(file: FirstLook) -> FrameIndex:
    """Find the byte range and the atom count of every snapshot."""

    def header(lines: LineReader, first: bytes) -> int:
        if not first.startswith(b"ITEM:"):
            raise InputError(
                "a snapshot must begin with ITEM:", where=file.path, value=first[:40].decode("ascii", "replace")
            )
        n_atoms, seen, line = -1, set[bytes](), first
        while not line.startswith(b"ITEM: ATOMS"):
            name = next((name for name in _LINES if (line.strip() + b" ").startswith(b"ITEM: " + name + b" ")), None)
            if name is None or name in seen:
                # A damaged title would hide all that follows, up to the next snapshot.
                shown = line[:40].decode("ascii", "replace")
                raise InputError("not an item of a snapshot, or one that it has already", where=file.path, value=shown)
            seen.add(name)
            held = [lines.line() for _ in range(_LINES[name])]
            following = lines.line()
            if following is None or None in held:
                raise cut_off()
            if name == b"NUMBER OF ATOMS":
                n_atoms = int(held[0] or b"")
            line = following
        return n_atoms

    return index_counted(file, header)


def parse(text: bytes, n_atoms: int) -> Structure:
    """Parse one snapshot; atoms are put in the order of their id."""
    head, _, rest = text.partition(b"ITEM: ATOMS")
    names, _, body = rest.partition(b"\n")
    columns = names.decode("ascii", "replace").split()
    items = _items(head)
    cell, origin, periodic = _box(*items["BOX BOUNDS"])
    axes, scaled = _axes(columns)
    named = next((name for name in ("element", "type") if name in columns), None)
    if named is None:
        raise InputError(
            "the dump holds neither element nor type", remedy="Add 'element' or 'type' to the dump command"
        )
    meaning = {named: WORD} | {axis: k for k, axis in enumerate(axes)} | {"id": 3}
    table, words, kinds = parse_table(body, n_atoms, [meaning.get(name, SKIP) for name in columns])
    positions = table[:, :3]
    if scaled:
        positions = positions @ cell + origin
    if "id" in columns:
        order = np.argsort(table[:, 3], kind="stable")
        positions, kinds = positions[order], kinds[order]
    if named == "type":
        words = [b"type " + word for word in words]
    time = items.get("TIME", items.get("TIMESTEP"))
    return Structure(
        positions=np.ascontiguousarray(positions),
        words=words,
        kinds=kinds,
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


def _axes(columns: list[str]) -> tuple[tuple[str, ...], bool]:
    for names, scaled in (
        (("xu", "yu", "zu"), False),
        (("x", "y", "z"), False),
        (("xsu", "ysu", "zsu"), True),
        (("xs", "ys", "zs"), True),
    ):
        if all(name in columns for name in names):
            return names, scaled
    raise InputError("the dump holds no coordinates", value=" ".join(columns), allowed="x y z, xu yu zu or xs ys zs")


def _box(title: str, lines: list[bytes]) -> tuple[Floats, Floats, tuple[bool, bool, bool]]:
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


FORMAT = AtomsFormat(
    name="lammps",
    suffixes=(".dump", ".lammpstrj"),
    noun="a LAMMPS dump",
    text=True,
    looks=lambda head: head.startswith(b"ITEM: ") and b"ITEM: NUMBER OF ATOMS" in head,
    index=index,
    read=by_range(parse),
    ends_whole=ends_with_line,
)
