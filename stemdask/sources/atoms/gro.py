"""GRO, the structures of GROMACS (reference manual, "File formats"): fixed columns, nm."""

from __future__ import annotations

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Floats
from stemdask.sources.atoms.elements import symbol_of_name
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.structure import Structure, stated_time
from stemdask.sources.atoms.text_frames import by_range, ends_with_line
from stemdask.sources.atoms.text_index import LineReader, cut_off, index_counted
from stemdask.sources.atoms.text_numbers import parse_fields
from stemdask.sources.first_look import FirstLook

_ANGSTROM = 10.0
#: Where the coordinates begin, behind the name and number of residue and atom.
_FIRST = 20


def index(file: FirstLook) -> FrameIndex:
    """Find the byte range and the atom count of every structure; a line with the box closes it."""

    def header(lines: LineReader, first: bytes) -> int:
        line = lines.line()
        if line is None:
            raise cut_off()
        if not line.strip().isdigit() or len(line) > 20:
            shown = line[:40].decode("ascii", "replace")
            raise InputError("the second line of a frame must be its number of atoms", where=file.path, value=shown)
        return int(line)

    return index_counted(file, header, footer=1)


def parse(text: bytes, n_atoms: int) -> Structure:
    """Parse one structure; the distance of the decimal points tells the width of the columns."""
    title, _, rest = text.lstrip(b"\r\n").partition(b"\n")
    body = rest.partition(b"\n")[2]
    buffer = np.frombuffer(body, np.uint8)
    ends = np.flatnonzero(buffer == ord("\n"))
    if len(ends) < n_atoms:
        raise InputError("atom lines are missing")
    starts = np.concatenate([[0], ends[:-1] + 1])[:n_atoms]
    box = body[ends[n_atoms - 1] + 1 if n_atoms else 0 :].split(b"\n")[0].split()
    points = [k for k, letter in enumerate(body[: ends[0]] if n_atoms else b"") if letter == ord(".") and k > _FIRST]
    width = points[1] - points[0] if len(points) > 2 else 0
    if n_atoms and (width < 5 or (ends[:n_atoms] - starts < _FIRST + 3 * width).any()):
        raise InputError("an atom line has no three coordinates in columns of equal width")
    fields = starts[:, None] + _FIRST + width * np.arange(3)
    names = np.ascontiguousarray(buffer[starts[:, None] + np.arange(10, 15)]).view("S5")[:, 0]
    words, kinds = np.unique(names, return_inverse=True)
    cell = _cell(box)
    return Structure(
        positions=_ANGSTROM * parse_fields(body, fields.reshape(-1), width).reshape(-1, 3),
        words=[symbol_of_name(word.strip()) for word in words.tolist()],
        kinds=kinds,
        cell=cell,
        periodic=(cell is not None,) * 3,
        time=stated_time(title),
    )


def _cell(words: list[bytes]) -> Floats | None:
    """Return the box: v1(x) v2(y) v3(z), then v1(y) v1(z) v2(x) v2(z) v3(x) v3(y) where it is tilted."""
    try:
        numbers = [_ANGSTROM * float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) not in (3, 9):
        shown = b" ".join(words)[:40].decode("ascii", "replace")
        raise InputError("the last line of a frame must be its box", value=shown, allowed="three or nine numbers")
    cell = np.diag(numbers[:3])
    if len(numbers) == 9:
        cell.flat[[1, 2, 3, 5, 6, 7]] = numbers[3:]
    return cell if np.any(cell) else None


def looks(head: bytes) -> bool:
    """Tell whether a text has a number of atoms in its second line, and coordinates from column 20 on in the third."""
    lines = head.split(b"\n", 3)
    if len(lines) < 4 or not lines[1].strip().isdigit():
        return False
    line = lines[2]
    try:
        return line[15:20].strip().isdigit() and len([float(word) for word in line[_FIRST:].split()]) >= 3
    except ValueError:
        return False


FORMAT = AtomsFormat(
    name="gro",
    suffixes=(".gro",),
    noun="a GRO file",
    text=True,
    looks=looks,
    index=index,
    read=by_range(parse),
    ends_whole=ends_with_line,
)
