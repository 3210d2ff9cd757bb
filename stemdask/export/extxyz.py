"""Extended XYZ: one file with all frames, all properties of the atoms and the values of each frame."""

from __future__ import annotations

import math
from collections.abc import Iterator

from stemdask.export.atoms import Atoms, properties_of, read_atoms, symbols_of
from stemdask.export.export import Export
from stemdask.export.folder import Folder
from stemdask.results.blocks import Blocks

_AT_ONCE = 1 << 14


def write(results: Blocks, folder: Folder) -> None:
    """Write the frames that have results to ``frames.extxyz``."""
    kinds = {name: "R" if v.dtype.kind == "f" else "I" for name, v in properties_of(results).items()}
    with folder.file("frames.extxyz") as path, path.open("w", encoding="utf-8") as file:
        for atoms in read_atoms(results):
            file.write(f"{len(atoms.elements)}\n{_comment(atoms, kinds)}\n")
            file.writelines(_lines(atoms, kinds))


def _comment(atoms: Atoms, kinds: dict[str, str]) -> str:
    properties = "".join(f":{_key(name)}:{kind}:1" for name, kind in kinds.items())
    scalars = [f"{_key(path)}={_value(value)}" for path, value in atoms.scalars.items() if _is_told(path, value)]
    return " ".join([f"Properties=species:S:1:pos:R:3{properties}", f"frame={atoms.frame}", *scalars, 'pbc="F F F"'])


def _lines(atoms: Atoms, kinds: dict[str, str]) -> Iterator[str]:
    """Yield the lines of the atoms, formatted some thousands at a time, since text takes more memory than numbers."""
    symbols = symbols_of(atoms.elements)
    for start in range(0, len(symbols), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        columns = [symbols[part].tolist(), *(list(map(repr, axis)) for axis in atoms.positions[part].T.tolist())]
        for name, kind in kinds.items():
            values = atoms.properties[name][part]
            # A float32 has fewer digits than the double that `tolist` makes of it.
            columns.append(list(map(str, values if kind == "R" and values.dtype.itemsize < 8 else values.tolist())))
        yield from (" ".join(row) + "\n" for row in zip(*columns, strict=True))


def _is_told(path: str, value: float | int | str) -> bool:
    """Leave out what is missing, what depends on the machine, and what is stated elsewhere."""
    if path in ("frames/frame_status", "frames/seconds", "frames/worker", "frames/error", "frames/n_atoms"):
        return False
    return value != "" and not (isinstance(value, float) and math.isnan(value))


def _key(path: str) -> str:
    return path.removeprefix("frames/").removeprefix("particle/").replace("/", "_")


def _value(value: float | int | str) -> str:
    if isinstance(value, str):
        text = "".join(c if c.isprintable() and c not in '"\\' else "_" for c in value)
        return f'"{text}"'
    return repr(value)


EXPORT = Export("extxyz", "atoms with all their properties", write)
