"""A file for HDF5's library, which can't bear a refused write: it comes back to it at its end, and crashes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import dask.array as da


class Hdf5File(io.FileIO):
    """Goes on in memory once the file system refuses a write, and tells afterwards.

    Parameters
    ----------
    path
        To write.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._path = path
        self._beyond: list[tuple[int, bytes]] = []
        self.refusal: OSError | None = None
        """What the file system said."""

    def __fspath__(self) -> str:
        return str(self._path)

    def unless_refused(self, data: Any) -> Any:
        """Return data that aren't computed any more once a write was refused: the rest needs no memory."""
        name = f"unless-refused-{os.urandom(8).hex()}"
        return da.map_blocks(self._checked, data, dtype=data.dtype, name=name)  # type: ignore[no-untyped-call]

    def raise_refusal(self) -> None:
        """Raise what the file system said, if it refused anything."""
        if self.refusal is not None:
            raise self.refusal

    def _checked(self, block: Any) -> Any:
        self.raise_refusal()
        return block

    def write(self, data: Any) -> int:
        """Write to the file, or to memory where that was refused."""
        at, view = self.tell(), memoryview(data).cast("B")
        if self.refusal is None:
            try:
                done = 0
                while done < len(view):
                    done += super().write(view[done:])
            except OSError as error:
                self.refusal = error
        if self.refusal is not None:
            self._beyond.append((at, bytes(view)))
            self.seek(at + len(view))
        return len(view)

    def readinto(self, buffer: Any) -> int:
        """Read what was written, wherever it went."""
        at, view = self.tell(), memoryview(buffer).cast("B")
        n = max(0, min(len(view), self._end() - at))
        found = super().readinto(view[:n]) or 0
        view[found:n] = bytes(n - found)
        for start, piece in self._beyond:
            low, high = max(at, start), min(at + n, start + len(piece))
            if low < high:
                view[low - at : high - at] = piece[low - start : high - start]
        self.seek(at + n)
        return n

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.refusal = self.refusal or error
            return self.tell() if size is None else size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; the end is behind all that was written."""
        if whence == os.SEEK_END:
            return super().seek(self._end() + offset)
        return super().seek(offset, whence)

    def _end(self) -> int:
        return max([os.fstat(self.fileno()).st_size, *(start + len(piece) for start, piece in self._beyond)])
