"""One streaming pass over a text trajectory that finds where each frame begins, without parsing a coordinate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO

import numpy as np

from stemdask.errors import InputError
from stemdask.fence import inside
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.compressed import most_bytes
from stemdask.sources.first_look import FirstLook

_CHUNK = 1 << 24
_LONGEST_HEADER = 1 << 20


class LineReader:
    """A file read forward in large chunks, by single lines or by skipping many; memory stays at one chunk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self._before = 0
        """Bytes of the file before the buffer."""

    def __enter__(self) -> LineReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        """Byte position in the file."""
        return self._before + self._at

    def line(self) -> bytes | None:
        """Return the next line without its end; None at the end of the file."""
        end = self._buffer.find(b"\n", self._at)
        while end < 0 and self._more():
            end = self._buffer.find(b"\n", self._at)
            if end < 0 and len(self._buffer) - self._at > _LONGEST_HEADER:
                break
        if end < 0:
            end = len(self._buffer)
        if end - self._at > _LONGEST_HEADER:
            raise InputError(f"a header line is longer than {_LONGEST_HEADER} bytes")
        if self._at >= len(self._buffer):
            return None
        line = self._buffer[self._at : end]
        self._at = min(end + 1, len(self._buffer))
        return line.rstrip(b"\r")

    def skip(self, n_lines: int) -> int:
        """Skip lines; return how many were missing. A last line needs no end."""
        from stemdask.kernels.text.lines import skip_lines

        while n_lines > 0:
            self._at, n_lines = skip_lines(np.frombuffer(self._buffer, np.uint8), self._at, n_lines)
            if n_lines == 0:
                break
            tail = self._buffer[self._at :]
            if not self._more():
                if tail.strip():
                    n_lines -= 1
                self._at = len(self._buffer)
                break
        return n_lines

    def _more(self) -> bool:
        read = self._file.read(_CHUNK)
        if not read:
            return False
        if len(read) == _CHUNK:  # a beat for each of many small files would take longer than they do
            inside.beat()
        self._before += self._at
        self._buffer = self._buffer[self._at :] + read
        self._at = 0
        return True


def index_counted(file: FirstLook, header: Callable[[LineReader, bytes], int], footer: int = 0) -> FrameIndex:
    """Index a file whose frames state their number of atoms.

    Parameters
    ----------
    file
        Which holds them.
    header
        Reads the rest of a frame's header, given its first line, and returns the number of atom lines that follow.
    footer
        Lines of a frame behind its atoms.

    Raises
    ------
    InputError
        A frame is cut off or declares more atoms than the file can hold.
    """
    index = FrameIndex()
    size = most_bytes(file.path, file.size)
    with LineReader(file.plain()) as lines:
        while True:
            start = lines.position
            first = lines.line()
            if first is None:
                break
            if not first.strip():
                continue
            frame = len(index.starts)
            n_atoms = header(lines, first)
            if n_atoms < 0 or 6 * n_atoms > size:
                raise InputError(f"frame {frame} declares {n_atoms} atoms, the file has {size} bytes", where=file.path)
            if missing := lines.skip(n_atoms + footer):
                raise InputError(
                    f"frame {frame} is cut off: {missing} of {n_atoms + footer} lines are missing",
                    where=file.path,
                    remedy="Copy the file again, or remove its last frame if the simulation still writes it",
                )
            index.add(start, lines.position, n_atoms)
    return index


def line_blocks(file: FirstLook) -> Iterator[tuple[int, bytes]]:
    """Yield the file in large blocks of whole lines, each with its byte position."""
    with file.plain() as stream:
        position, rest = 0, b""
        while chunk := stream.read(_CHUNK):
            if len(chunk) == _CHUNK:
                inside.beat()
            text = rest + chunk
            end = text.rfind(b"\n") + 1
            if end:
                yield position, text[:end]
            position += end
            rest = text[end:]
            if len(rest) > _LONGEST_HEADER:
                raise InputError(f"a line is longer than {_LONGEST_HEADER} bytes", where=file.path)
        if rest:
            yield position, rest


def cut_off() -> InputError:
    """Return the error for a file that ends within a frame's header."""
    return InputError("the file ends within the header of a frame", remedy="Copy the file again from its origin")
