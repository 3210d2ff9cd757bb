"""Scratch memory that one thread uses again for every frame.

Fresh arrays of some megabytes cost more in page faults than the kernels that fill them.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import DTypeLike

from stemdask.kernels.arrays import Array

#: Bytes of a line of cache, where every buffer begins.
_LINE = 64


class Workspace:
    """Named buffers that grow and are never given back; what a kernel returns in them lasts until its next call."""

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def get(self, name: str, size: int, dtype: DTypeLike = np.float64) -> Array:
        """Return `size` elements whose content is arbitrary; the same memory as before where it suffices."""
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size or buffer.dtype != dtype:
            buffer = np.empty(size + size // 8 + _LINE, dtype)
            begin = -buffer.ctypes.data % _LINE // buffer.itemsize
            buffer = self._buffers[name] = buffer[begin:]
        return buffer[:size]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(buffer.nbytes for buffer in self._buffers.values())


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.workspace = Workspace()


_PER_THREAD = _PerThread()


def thread_workspace() -> Workspace:
    """Return the workspace of the calling thread."""
    return _PER_THREAD.workspace
