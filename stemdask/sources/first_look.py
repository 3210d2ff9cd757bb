"""What one opening of a file tells: its status, its beginning and its end."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from stemdask.errors import InputError
from stemdask.sources.compressed import is_compressed, open_plain, unpacked
from stemdask.sources.guard import os_error

_SAMPLE = 1 << 16


@dataclass(frozen=True, slots=True)
class FirstLook:
    """A file as it was found."""

    path: str
    size: int
    """Bytes; of a folder such as a zarr, those of all its files."""
    mtime_ns: int
    """When it was written last; of a folder, its newest file."""
    inode: int
    digest: str
    """16 hexadecimal digits that stand for the content: of a file, for its size and its first and last 64 kB."""
    head: bytes = b""
    """The first 64 kB; nothing of a folder."""
    tail: bytes = b""
    """The last 64 kB of what follows the head."""
    is_folder: bool = False

    def beginning(self, n_bytes: int) -> bytes:
        """Return the first bytes of what the file holds when it is unpacked, up to 64 kB."""
        if not is_compressed(self.path):
            return self.head[:n_bytes]
        with self.plain() as stream:
            return stream.read(n_bytes)

    def plain(self) -> IO[bytes]:
        """Return a stream of what the file holds when it is unpacked; it isn't opened again where the head is all."""
        if len(self.head) == self.size:
            return unpacked(BytesIO(self.head), self.path)
        return open_plain(self.path)


def look_at(path: str) -> FirstLook:
    """Open a file, and take its status and samples of its content.

    Raises
    ------
    InputError
        It can't be read, or is neither a file nor a folder.
    """
    try:
        file = _opened(path)
        try:
            status = os.fstat(file)
            if stat.S_ISDIR(status.st_mode):
                return _look_at_folder(path)
            if not stat.S_ISREG(status.st_mode):
                raise not_regular(path)
            size = status.st_size
            head = _read(file, 0, min(size, _SAMPLE))
            tail = _read(file, max(_SAMPLE, size - _SAMPLE), size)
        finally:
            os.close(file)
    except OSError as error:
        raise not_regular(path) if error.errno == errno.ENXIO else os_error(path, error) from None
    sums = hashlib.blake2b(str(size).encode(), digest_size=8)
    sums.update(head)
    sums.update(tail)
    return FirstLook(path, size, status.st_mtime_ns, status.st_ino, sums.hexdigest(), head, tail)


def not_regular(path: str) -> InputError:
    """Return the error for what can't be read as a file."""
    return InputError("not a regular file", where=path, remedy="Name a file, not a folder, pipe or device")


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # doesn't wait for somebody who writes into a pipe
    except BlockingIOError:  # a server has leased the file to another machine, which is asked to give it back
        return os.open(path, os.O_RDONLY)


def _read(file: int, start: int, stop: int) -> bytes:
    """Read a range; less of it only where the file ends before."""
    found = b""
    while start + len(found) < stop and (more := os.pread(file, stop - start - len(found), start + len(found))):
        found += more
    return found


def _look_at_folder(path: str) -> FirstLook:
    """Look at a zarr: the names, sizes and times of its files, and the bytes of some of them."""
    folder = Path(path)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    found = [file.stat() for file in files]
    sums = hashlib.blake2b(digest_size=8)
    for at, (file, status) in enumerate(zip(files, found, strict=True)):
        sums.update(f"{file.relative_to(folder)} {status.st_size}\n".encode())
        if file.suffix == ".json" or at % max(1, len(files) // 32) == 0:
            sums.update(file.read_bytes()[:_SAMPLE])
    return FirstLook(
        path,
        size=sum(status.st_size for status in found),
        mtime_ns=max((status.st_mtime_ns for status in found), default=0),
        inode=folder.stat().st_ino,
        digest=sums.hexdigest(),
        is_folder=True,
    )
