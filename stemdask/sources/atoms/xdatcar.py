"""XDATCAR, the trajectories of VASP: the header of a POSCAR, and again where the cell changes."""

from __future__ import annotations

from io import BytesIO

from stemdask.errors import InputError
from stemdask.fence import inside
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.poscar import Header, read_header
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.text_frames import by_range, ends_with_line
from stemdask.sources.atoms.text_index import LineReader
from stemdask.sources.atoms.text_numbers import parse_table
from stemdask.sources.first_look import FirstLook

_TITLE = b"configuration="


def index(file: FirstLook) -> FrameIndex:
    """Find the byte range and the atom count of every configuration."""
    found = FrameIndex()
    header: Header | None = None
    with LineReader(file.plain()) as lines:
        begin: int | None = None
        while (start := lines.position) >= 0 and (line := lines.line()) is not None:
            if _TITLE in line:
                frame = len(found.starts)
                if header is None:
                    raise InputError("a configuration without elements and cell before it", where=file.path)
                if missing := lines.skip(header.n_atoms):
                    raise InputError(
                        f"frame {frame} is cut off: {missing} of {header.n_atoms} atom lines are missing",
                        where=file.path,
                        remedy="Copy the file again, or remove its last frame if the simulation still writes it",
                    )
                found.add(start if begin is None else begin, lines.position, header.n_atoms)
                begin = None
            elif line.strip() or header is None:
                if begin is not None:
                    raise InputError("a header without a configuration", where=file.path)
                inside.beat()
                # The first header stands before the first frame, for all.
                begin = None if header is None else start
                header = read_header(line, lines.line)
    if begin is not None or (header is not None and not found.starts):
        raise InputError("cut off after a header", where=file.path, remedy="Copy the file again")
    return found


def parse(text: bytes, n_atoms: int) -> Structure:
    """Parse one configuration, whose own header stands behind that of the first."""
    stream = BytesIO(text)
    header = read_header(stream.readline(), stream.readline)
    while _TITLE not in (line := stream.readline()):
        header = read_header(line, stream.readline)
    number = line.partition(_TITLE)[2].strip()
    points, _, _ = parse_table(text[stream.tell() :], n_atoms, [0, 1, 2])
    return header.structure(points, fractional=True, time=float(number) if number.isdigit() else None)


def looks(head: bytes) -> bool:
    """Tell whether a text begins with the header of VASP and a configuration."""
    stream = BytesIO(head)
    try:
        read_header(stream.readline(), stream.readline)
        return _TITLE in stream.readline()
    except InputError:
        return False


FORMAT = AtomsFormat(
    name="xdatcar",
    suffixes=(".xdatcar",),
    names=("XDATCAR",),
    noun="an XDATCAR",
    text=True,
    looks=looks,
    index=index,
    read=by_range(parse),
    ends_whole=ends_with_line,
)
