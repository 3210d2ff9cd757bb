"""POSCAR and CONTCAR, the structures of VASP (VASP wiki, "POSCAR"), of its versions 4 and 5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Floats
from stemdask.sources.atoms.elements import atomic_number
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.text_frames import by_range, ends_with_line
from stemdask.sources.atoms.text_index import LineReader, cut_off
from stemdask.sources.atoms.text_numbers import parse_table
from stemdask.sources.first_look import FirstLook

NextLine = Callable[[], bytes | None]


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the atoms."""

    cell: Floats
    """Rows are vectors, angstrom."""
    scale: Floats
    """Factor of Cartesian coordinates along each axis."""
    words: list[bytes]
    counts: list[int]
    """Atoms of each word."""

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return sum(self.counts)

    def structure(self, points: Floats, fractional: bool, time: float | None = None) -> Structure:
        """Return the structure with atoms at these points, in fractions of the cell or as the file scales them."""
        return Structure(
            positions=points @ self.cell if fractional else points * self.scale,
            words=self.words,
            kinds=np.repeat(np.arange(len(self.counts)), self.counts),
            cell=self.cell,
            periodic=(True, True, True),
            time=time,
        )


def read_header(comment: bytes, next_line: NextLine) -> Header:
    """Read the lines up to the numbers of atoms, given the first.

    Raises
    ------
    InputError
        A line doesn't hold what it must.
    """
    scale = _numbers(next_line, "the second line must be the scale", (1, 3))
    vectors = [_numbers(next_line, "lines 3 to 5 must be the vectors of the cell", (3,), more=True) for _ in range(3)]
    cell = np.array(vectors)
    if scale[0] < 0:  # then it is the volume of the cell
        volume = abs(np.linalg.det(cell))
        if not volume > 0:
            raise InputError("the vectors of the cell lie in a plane")
        scale = np.cbrt(-scale / volume)
    words = _line(next_line).split(b"!")[0].split()
    named = bool(words) and not words[0].isdigit()
    counted = _line(next_line).split(b"!")[0].split() if named else words
    if not counted or not all(word.isdigit() and len(word) < 12 for word in counted):
        shown = b" ".join(counted)[:40].decode("ascii", "replace")
        raise InputError("line 6 or 7 must be the number of atoms of each element", value=shown)
    if not named:
        words = _of_comment(comment, len(counted))
    if len(words) != len(counted):
        raise InputError(f"{len(words)} elements, but {len(counted)} numbers of atoms")
    # Labels of potentials, as in "Na_pv/6a2f546d", begin with the element.
    symbols = [word.split(b"/")[0].split(b"_")[0] for word in words]
    return Header(cell * scale, np.broadcast_to(scale, 3), symbols, [int(word) for word in counted])


def _of_comment(comment: bytes, n: int) -> list[bytes]:
    """Return the elements that files of version 4 hold in their comment, if they do."""
    words = comment.split()[:n]
    if len(words) == n and all(atomic_number(word.decode("ascii", "replace")) for word in words):
        return words
    return [b"type %d" % (k + 1) for k in range(n)]


def _line(next_line: NextLine) -> bytes:
    line = next_line()
    if not line:
        raise cut_off()
    return line


def _numbers(next_line: NextLine, rule: str, n: tuple[int, ...], more: bool = False) -> Floats:
    line = _line(next_line)
    try:
        numbers = np.array([float(word) for word in line.split()[: n[-1] if more else None]])
    except ValueError:
        numbers = np.empty(0)
    if len(numbers) not in n or not np.isfinite(numbers).all():
        raise InputError(rule, value=line[:40].decode("ascii", "replace"), allowed="numbers")
    return numbers


def _is_fractional(next_line: NextLine) -> bool:
    """Read the lines between the numbers of atoms and the atoms."""
    line = _line(next_line).strip().lower()
    if line.startswith(b"s"):  # selective dynamics
        line = _line(next_line).strip().lower()
    if line[:1] not in (b"c", b"k", b"d", b"f"):
        shown = line[:40].decode("ascii", "replace")
        raise InputError("the atoms must be headed by Direct or Cartesian", value=shown)
    return line[:1] in (b"d", b"f")


def index(file: FirstLook) -> FrameIndex:
    """Count the atoms of the one structure; velocities may follow them."""
    with LineReader(file.plain()) as lines:
        header = read_header(lines.line() or b"", lines.line)
        _is_fractional(lines.line)
        if missing := lines.skip(header.n_atoms):
            raise InputError(f"cut off: {missing} of {header.n_atoms} atom lines are missing", where=file.path)
        end, following = lines.position, (lines.line() or b"").split()
        if following and not following[0][:1].isalpha():  # before velocities there is an empty line, or a word
            raise InputError(
                f"states {header.n_atoms} atoms, and another line of numbers follows",
                where=file.path,
                remedy="Correct the number of atoms, or copy the file again",
            )
        return FrameIndex([0], [end], [header.n_atoms])


def parse(text: bytes, n_atoms: int) -> Structure:
    """Parse the structure."""
    stream = BytesIO(text)
    header = read_header(stream.readline(), stream.readline)
    fractional = _is_fractional(stream.readline)
    points, _, _ = parse_table(text[stream.tell() :], n_atoms, [0, 1, 2])
    return header.structure(points, fractional)


def looks(head: bytes) -> bool:
    """Tell whether a text begins with the header of VASP."""
    stream = BytesIO(head)
    try:
        read_header(stream.readline(), stream.readline)
        return stream.readline().strip()[:1].lower() in (b"s", b"c", b"k", b"d", b"f")
    except InputError:
        return False


FORMAT = AtomsFormat(
    name="poscar",
    suffixes=(".vasp", ".poscar", ".contcar"),
    names=("POSCAR", "CONTCAR"),
    noun="a POSCAR",
    text=True,
    looks=looks,
    index=index,
    read=by_range(parse),
    ends_whole=ends_with_line,
)
