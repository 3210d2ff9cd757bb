"""What XTC and TRR, the trajectories of GROMACS, have in common: frames in nm, each with a head, by XDR (RFC 4506)."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from stemdask.errors import InputError
from stemdask.fence import inside
from stemdask.kernels.arrays import Floats
from stemdask.sources.atoms.companion import with_elements
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import check_end
from stemdask.sources.first_look import FirstLook

#: First bytes of every frame: 1995 and 1993.
XTC, TRR = b"\0\0\x07\xcb", b"\0\0\x07\xc9"
_ANGSTROM = 10.0
_AGAIN = "Copy the file again from its origin"
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
#: Most bytes of an atom that programs make room for, and the fewest.
_MOST, _LEAST = 1.2 * 12, 1 / 8


def index(file: FirstLook) -> FrameIndex:
    """Count the frames, which must all have the same atoms."""
    found = FrameIndex()
    end = 0
    with Path(file.path).open("rb") as stream:
        head_of = _trr_head if stream.read(len(TRR)) == TRR else _xtc_head
        while end < file.size:
            stream.seek(end)
            try:
                n, length = head_of(stream.read(_HEAD))
                before = found.n_atoms[0] if found.n_atoms else n
                _check(n == before, f"{n} atoms where the frames before have {before}")
            except struct.error:  # cut within a head
                break
            except ValueError as error:
                what = f"frame {len(found.n_atoms)} is damaged: it states {error}"
                raise InputError(what, where=file.path, remedy=_AGAIN) from None
            found.add(end, end + length, n)
            end += length
            if len(found.n_atoms) % _BEAT == 0:
                inside.beat(file.path)
    check_end(file.path, end, file.size)
    return found


def _check(holds: bool, stated: str) -> None:
    if not holds:
        raise ValueError(stated)


def _xtc_head(head: bytes) -> tuple[int, int]:
    """Return atoms and bytes of a frame; raise ValueError with what can't be."""
    from stemdask.kernels.atoms.packed_coordinates import PLACES

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
    _check(place in PLACES, f"place {place} in a table of {PLACES.stop}")
    _check(_LEAST * n_atoms <= n_bytes <= _MOST * n_atoms, f"{n_bytes} bytes for {n_atoms} atoms")
    return n_atoms, _XTC.size + _PACKED.size + 4 * -(-n_bytes // 4)


def _trr_head(head: bytes) -> tuple[int, int]:
    """Return atoms and bytes of a frame; raise ValueError with what can't be."""
    name = _TRR.unpack_from(head)[1:4]
    sizes, n_atoms = _TRR.unpack_from(head)[4:14], _TRR.unpack_from(head)[14]
    _check(head.startswith(TRR) and name == _TRR_NAME, "another kind of file")
    _check(n_atoms > 0, f"{n_atoms} atoms")
    number = _trr_number(sizes, n_atoms)
    _check(all(size in (0, 9 * number) for size in sizes[2:5]), "a box or a virial of another size")
    _check(all(size in (0, 3 * number * n_atoms) for size in sizes[7:]), f"another size of {n_atoms} atoms")
    _check(not any((*sizes[:2], *sizes[5:7])), "parts that no program writes")
    return n_atoms, _TRR.size + 2 * number + sum(sizes)


def _trr_number(sizes: tuple[int, ...], n_atoms: int) -> int:
    """Return the bytes of a number: that of programs in single or in double precision."""
    return 8 if sizes[2] == 72 or (sizes[2] == 0 and max(sizes[7:]) == 24 * n_atoms) else 4


def read(place: FramePlace) -> Structure:
    """Read one frame.

    Raises
    ------
    InputError
        It holds no positions, or packed ones that can't be.
    """
    with Path(place.path).open("rb") as stream:
        stream.seek(place.start)
        data = stream.read(place.stop - place.start)
    positions, cell, time = _trr_frame(data) if data.startswith(TRR) else _xtc_frame(data)
    return with_elements(place.path, _ANGSTROM * positions, _ANGSTROM * cell, time)


def _xtc_frame(data: bytes) -> tuple[Floats, Floats, float]:
    """Return positions and box, nm, and time, ps, of a frame."""
    from stemdask.kernels.atoms.packed_coordinates import unpack

    _, n_atoms, _, time, *box, _ = _XTC.unpack_from(data)
    cell = np.array(box).reshape(3, 3)
    if n_atoms <= _UNPACKED:
        return np.frombuffer(data, ">f4", 3 * n_atoms, _XTC.size).reshape(-1, 3).astype(float), cell, time
    precision, *corners, place, n_bytes = _PACKED.unpack_from(data, _XTC.size)
    packed = np.frombuffer(data, np.uint8, n_bytes, _XTC.size + _PACKED.size)
    try:
        whole = unpack(packed, n_atoms, np.array(corners[:3]), np.array(corners[3:]), place)
    except ValueError as error:
        raise InputError(f"the frame is damaged: it holds {error}", remedy=_AGAIN) from None
    # In the single precision of the library, so that both give the same numbers.
    positions = whole.astype(np.float32) * (np.float32(1) / np.float32(precision))
    return positions.astype(float), cell, time


def _trr_frame(data: bytes) -> tuple[Floats, Floats, float]:
    """Return positions and box, nm, and time, ps, of a frame."""
    head = _TRR.unpack_from(data)
    sizes, n_atoms = head[4:14], head[14]
    number = f">f{_trr_number(sizes, n_atoms)}"
    item = np.dtype(number).itemsize
    (time,) = np.frombuffer(data, number, 1, _TRR.size)
    start = _TRR.size + 2 * item
    cell = np.frombuffer(data, number, sizes[2] // item, start).reshape(-1, 3).astype(float)
    if not sizes[7]:
        raise InputError(
            "the frame holds no positions", remedy="Write them to the trajectory (nstxout), or use another"
        )
    positions = np.frombuffer(data, number, 3 * n_atoms, start + sum(sizes[:7])).reshape(-1, 3)
    return positions.astype(float), cell, float(time)
