"""Databases of ASE as JSON, read without ASE: what makes objects of it isn't needed for atoms."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure, of_numbers
from stemdask.sources.atoms.text_frames import read_whole
from stemdask.sources.compressed import open_plain
from stemdask.sources.first_look import FirstLook
from stemdask.sources.per_file import once_per_file


def index(file: FirstLook) -> FrameIndex:
    """Count the rows and their atoms; a frame's place is its number."""
    found = FrameIndex()
    for k, row in enumerate(_rows(file.path)):
        found.add(k, k + 1, len(row.kinds))
    return found


def read(place: FramePlace) -> Structure:
    """Read one row."""
    return _rows(place.path)[place.start]


@once_per_file(4)
def _rows(path: str) -> list[Structure]:
    document = json.loads(read_whole(open_plain(path)))
    if not isinstance(document, dict) or not isinstance(document.get("ids"), list):
        raise InputError("not an ASE database: it holds no list of ids", where=path)
    rows = [document.get(str(number)) for number in document["ids"]]
    if any(not isinstance(row, dict) for row in rows) or len(rows) < sum(key.isdigit() for key in document):
        raise InputError("the rows aren't those of its list of ids", where=path, remedy="Copy the file again")
    return [_structure(row) for row in rows if isinstance(row, dict)]


def _structure(row: dict[str, Any]) -> Structure:
    return of_numbers(
        _array(row.get("numbers")).astype(np.int64),
        _array(row.get("positions")).astype(np.float64),
        _array(row.get("cell", np.zeros((3, 3)))).astype(np.float64),
        _array(row.get("pbc", [False] * 3)).astype(bool),
    )


def _array(value: Any) -> Array:
    """Return an array: nested lists, or ``{"__ndarray__": [shape, type, values]}``, alone or of a cell."""
    if isinstance(value, dict) and "array" in value:
        value = value["array"]
    if isinstance(value, dict):
        shape, kind, values = value["__ndarray__"]
        return np.array(values, dtype=np.dtype(str(kind))).reshape(shape)
    return np.array(value)


def looks(head: bytes) -> bool:
    """Tell whether a text begins as a database of ASE."""
    return head.lstrip()[:1] == b"{" and (b'"positions"' in head or b'"numbers"' in head or b'"unique_id"' in head)


FORMAT = AtomsFormat(
    name="ase_json",
    suffixes=(".json",),
    noun="an ASE database in JSON",
    text=True,
    incidental=True,
    looks=looks,
    index=index,
    read=read,
)
