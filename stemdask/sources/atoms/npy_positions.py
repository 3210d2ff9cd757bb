"""Positions that numpy saved, (n, 3) or (frame, n, 3), in angstrom, of atoms whose element isn't told."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.atoms.trajectory_library import index_equal
from stemdask.sources.first_look import FirstLook
from stemdask.sources.npy_header import MAGIC, check_header, holds_positions

_RULE = "numbers of the shape (n, 3) or (frame, n, 3)"


def index(file: FirstLook) -> FrameIndex:
    """Take the numbers of frames and atoms from the header."""
    warnings = check_header(file.path)
    frames = _frames(file.path)
    found = index_equal(len(frames), frames.shape[1])
    found.warnings += warnings
    return found


def read(place: FramePlace) -> Structure:
    """Read one frame."""
    positions = np.array(_frames(place.path)[place.start], dtype=np.float64)
    return Structure(positions, [b"type 1"], np.zeros(len(positions), np.int64))


def _frames(path: str) -> Array:
    array: Array = np.load(Path(path), mmap_mode="r", allow_pickle=False)
    if array.ndim not in (2, 3) or array.shape[-1] != 3 or array.dtype.kind not in "iuf":
        raise InputError("no positions", where=path, value=f"{array.dtype} {array.shape}", allowed=_RULE)
    return array if array.ndim == 3 else array[None]


FORMAT = AtomsFormat(
    name="npy_positions",
    suffixes=(".npy",),
    noun="a NumPy file of positions",
    general=True,
    magic=MAGIC,
    looks=holds_positions,
    index=index,
    read=read,
)
