"""A hash of what was read of a frame: the truth about an input, where names, sizes and times are hints."""

from __future__ import annotations

import hashlib

import numpy as np

from stemdask.model import Array, AtomsFrame, Frame


def frame_hash(frame: Frame) -> int:
    """Return 64 bits that stand for the pixels of an image or the atoms of a structure; never 0, "not known"."""
    sums = hashlib.blake2b(digest_size=8)
    if isinstance(frame, AtomsFrame):
        arrays: list[Array] = [frame.positions, frame.numbers, np.zeros(0) if frame.cell is None else frame.cell]
        sums.update(repr((frame.periodic, frame.time)).encode())
    else:
        arrays = [frame.pixels]
    for array in arrays:
        sums.update(f"{array.dtype.str} {array.shape}".encode())
        sums.update(np.ascontiguousarray(array).data)
    return int.from_bytes(sums.digest(), "little") or 1
