"""What XTC and TRR, the trajectories of GROMACS, have in common: frames in nm, through the classes of MDAnalysis.

The heads of all frames are read here before the library, in C, acts on what they state.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.fence import inside
from stemdask.sources.atoms.companion import with_elements
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import READING, check_end, index_equal, library
from stemdask.sources.per_file import once_per_file

#: First bytes of every frame: 1995 and 1993.
XTC, TRR = b"\0\0\x07\xcb", b"\0\0\x07\xc9"
_ANGSTROM = 10.0
#: Frames between two words that it goes on.
_BEAT = 100_000
#: Bytes that hold either head.
_HEAD = 96
#: Magic, atoms, step, time, box, and the atoms again; then, where coordinates are packed, precision, smallest and
#: largest whole coordinates, place in the table of sizes, and bytes.
_XTC, _PACKED = struct.Struct(">3if9fi"), struct.Struct(">f8i")
#: Magic, a name behind its lengths, sizes of ten parts, atoms, step and number of energies.
_TRR = struct.Struct(">3i12s10i3i")
_TRR_NAME = (13, 12, b"GMX_trn_file")
#: Most atoms whose coordinates XTC doesn't pack.
_UNPACKED = 9
#: Places in the table of sizes that mean one.
_SIZES = range(9, 73)
#: Most bytes of an atom for which the library has room, and the fewest.
_MOST, _LEAST = 1.2 * 12, 1 / 8


def index(path: str, size: int) -> FrameIndex:
    """Count the frames, which must all have the same atoms."""
    _module(path)  # if it isn't there, that comes first
    head_of = _trr_head if _is_trr(path) else _xtc_head
    n_frames, n_atoms, end = 0, 0, 0
    with Path(path).open("rb") as stream:
        while end < size:
            stream.seek(end)
            try:
                n, length = head_of(stream.read(_HEAD))
                _check(n_frames == 0 or n == n_atoms, f"{n} atoms where the frames before have {n_atoms}")
            except struct.error:  # cut within a head
                break
            except ValueError as error:
                raise InputError(
                    f"frame {n_frames} is damaged: it states {error}",
                    where=path,
                    remedy="Copy the file again from its origin",
                ) from None
            n_frames, n_atoms, end = n_frames + 1, n, end + length
            if n_frames % _BEAT == 0:
                inside.beat(path)
    check_end(path, end, size)
    return index_equal(n_frames, n_atoms)


def _is_trr(path: str) -> bool:
    with Path(path).open("rb") as stream:
        return stream.read(len(TRR)) == TRR


def _check(holds: bool, stated: str) -> None:
    if not holds:
        raise ValueError(stated)


def _xtc_head(head: bytes) -> tuple[int, int]:
    """Return atoms and bytes of a frame; raise ValueError with what can't be."""
    magic, n_atoms, _, time, *box, again = _XTC.unpack_from(head)
    _check(head.startswith(XTC), f"the number {magic} in place of {int.from_bytes(XTC)}")
    _check(n_atoms > 0, f"{n_atoms} atoms")
    _check(again == n_atoms, f"{n_atoms} atoms and coordinates of {again}")
    _check(all(map(math.isfinite, (time, *box))), "a time or a box that isn't finite")
    if n_atoms <= _UNPACKED:
        return n_atoms, _XTC.size + 12 * n_atoms
    precision, *corners, place, n_bytes = _PACKED.unpack_from(head, _XTC.size)
    _check(0 < precision < math.inf, f"a precision of {precision:g}")
    _check(all(low <= high for low, high in zip(corners[:3], corners[3:], strict=True)), "a box of negative size")
    _check(place in _SIZES, f"place {place} in a table of {_SIZES.stop}")
    _check(_LEAST * n_atoms <= n_bytes <= _MOST * n_atoms, f"{n_bytes} bytes for {n_atoms} atoms")
    return n_atoms, _XTC.size + _PACKED.size + 4 * -(-n_bytes // 4)


def _trr_head(head: bytes) -> tuple[int, int]:
    """Return atoms and bytes of a frame; raise ValueError with what can't be."""
    name = _TRR.unpack_from(head)[1:4]
    sizes, n_atoms = _TRR.unpack_from(head)[4:14], _TRR.unpack_from(head)[14]
    _check(head.startswith(TRR) and name == _TRR_NAME, "another kind of file")
    _check(n_atoms > 0, f"{n_atoms} atoms")
    double = sizes[2] == 72 or (sizes[2] == 0 and max(sizes[7:]) == 24 * n_atoms)
    number = 8 if double else 4
    _check(all(size in (0, 9 * number) for size in sizes[2:5]), "a box or a virial of another size")
    _check(all(size in (0, 3 * number * n_atoms) for size in sizes[7:]), f"another size of {n_atoms} atoms")
    _check(not any((*sizes[:2], *sizes[5:7])), "parts that no program writes")
    return n_atoms, _TRR.size + 2 * number + sum(sizes)


def read(place: FramePlace) -> Structure:
    """Read one frame."""
    with READING:
        file = _opened(place.path)
        file.seek(place.start)
        frame = file.read()
    if not getattr(frame, "hasx", True):
        raise InputError(
            "the frame holds no positions", remedy="Write them to the trajectory (nstxout), or use another"
        )
    positions, box = (_ANGSTROM * part.astype(np.float64) for part in (frame.x, frame.box))
    return with_elements(place.path, positions, box, frame.time)


def _module(path: str) -> Any:
    return library("MDAnalysis.lib.formats.libmdaxdr", path)


@once_per_file(4)
def _opened(path: str) -> Any:
    return (_module(path).TRRFile if _is_trr(path) else _module(path).XTCFile)(path)
