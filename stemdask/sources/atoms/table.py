"""Tables with named columns: x, y, z and perhaps element or type, and frame; what separates them, the header tells."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.text_frames import by_range, ends_with_line
from stemdask.sources.atoms.text_index import LineReader, line_blocks
from stemdask.sources.first_look import FirstLook
from stemdask.units import parse_length

_UNIT = re.compile(r"\s*[\[(]\s*(\S+?)\s*[\])]\s*$")
_ELEMENT = ("element", "symbol", "species", "type")
_RULE = "the first line must name the columns x, y and z, as in 'element,x,y,z'"
_MOST_COMMENTS = 100


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns are."""

    separator: str
    """Empty where blanks separate them."""
    n: int
    axes: tuple[int, ...]
    scale: tuple[float, ...]
    """Angstrom in the unit of each axis."""
    element: int | None
    is_type: bool
    frame: int | None

    def split(self, lines: list[bytes]) -> Iterator[list[str]]:
        """Yield the cells of each line that isn't blank; raise InputError where there are more or fewer of them."""
        texts = [line.decode("utf-8", "replace") for line in lines if line.strip()]
        rows = csv.reader(texts, delimiter=self.separator) if self.separator else (text.split() for text in texts)
        for k, row in enumerate(rows):
            if len(row) != self.n:
                raise InputError(f"line {k + 1} of the atoms has {len(row)} columns, the header names {self.n}")
            yield row


def columns_of(header: bytes) -> Columns | None:
    """Return what the columns are by their names; None where x, y and z aren't among them."""
    text = header.decode("utf-8-sig", "replace").strip().lstrip("#").strip()
    separator = next((sign for sign in ",;\t" if sign in text), "")
    cells = next(csv.reader([text], delimiter=separator)) if separator else text.split()
    units = [match[1] if (match := _UNIT.search(cell)) else "angstrom" for cell in cells]
    names = [_UNIT.sub("", cell).strip().lower() for cell in cells]
    if any(names.count(axis) != 1 for axis in "xyz"):
        return None
    axes = tuple(names.index(axis) for axis in "xyz")
    element = next((name for name in _ELEMENT if name in names), None)
    return Columns(
        separator=separator,
        n=len(names),
        axes=axes,
        scale=tuple(_angstrom(units[axis]) for axis in axes),
        element=None if element is None else names.index(element),
        is_type=element == "type",
        frame=names.index("frame") if "frame" in names else None,
    )


def _angstrom(unit: str) -> float:
    try:
        return parse_length(f"1 {unit}", "angstrom").angstrom()
    except ValueError:
        raise InputError("not a unit of length", value=unit, allowed="angstrom, nm, pm") from None


def _header(text: LineReader) -> Columns:
    """Read the lines up to the names of the columns; comments may stand before them."""
    for _ in range(_MOST_COMMENTS):
        line = text.line()
        if line is None:
            break
        if (columns := columns_of(line)) is not None:
            return columns
        if line.strip() and not line.startswith(b"#"):
            raise InputError(_RULE, value=line[:60].decode("utf-8", "replace"))
    raise InputError(_RULE)


def index(file: FirstLook) -> FrameIndex:
    """Count the lines; where a column holds the frame, consecutive lines with the same number form a frame."""
    found = FrameIndex()
    with LineReader(file.plain()) as lines:
        columns = _header(lines)
        start = lines.position
    frame, n_atoms, at = "", 0, 0
    for offset, text in line_blocks(file):
        at = offset
        for line in text.splitlines(keepends=True):
            if at >= start and line.strip():
                its = next(columns.split([line]))[columns.frame] if columns.frame is not None else ""
                if n_atoms and its != frame:
                    found.add(start, at, n_atoms)
                    start, n_atoms = at, 0
                frame, n_atoms = its, n_atoms + 1
            at += len(line)
    found.add(start, at, n_atoms)
    return found


def parse(text: bytes, n_atoms: int) -> Structure:
    """Parse the header and the lines of one frame."""
    lines = text.splitlines()
    columns, first = next((found, k + 1) for k, line in enumerate(lines) if (found := columns_of(line)) is not None)
    names = dict[str, int]()
    points, kinds = np.empty((n_atoms, 3)), np.zeros(n_atoms, np.int64)
    for k, row in enumerate(columns.split(lines[first:])):
        points[k] = [_number(row[axis], k) for axis in columns.axes]
        if columns.element is not None:
            kinds[k] = names.setdefault(row[columns.element].strip(), len(names))
    prefix = "type " if columns.is_type else ""
    words = [f"{prefix}{name}".encode() for name in names]
    return Structure(points * columns.scale, words if columns.element is not None else [b"type 1"], kinds)


def _number(cell: str, row: int) -> float:
    try:
        return float(cell.replace("_", "?"))  # float allows 1_000, no table does
    except ValueError:
        raise InputError(f"atom {row} has no number where a coordinate must be", value=cell[:40]) from None


def looks(head: bytes) -> bool:
    """Tell whether a text begins with names of columns, x, y and z among them; comments may stand before."""
    lines = head.split(b"\n")[:_MOST_COMMENTS]
    first = next((line for line in lines if line.strip() and not line.startswith(b"#")), b"")
    commented = [line for line in lines if line.startswith(b"#")]
    try:
        return any(columns_of(line) is not None for line in (first, *commented))
    except InputError:
        return True


FORMAT = AtomsFormat(
    name="table",
    suffixes=(".csv", ".tsv", ".txt", ".dat"),
    noun="a table with the columns x, y and z",
    text=True,
    incidental=True,
    looks=looks,
    index=index,
    read=by_range(parse),
    ends_whole=ends_with_line,
)
