"""Files that are there whole or not at all, on the disk when it is said so; and what a refusal of the system means."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import os
import shutil
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil

from stemdask.errors import StorageError

#: Network file systems hiccup: these are waited out, and are a refusal where they don't end.
PASSING = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR, errno.EAGAIN})
#: The disk, its quota or its owner says no: the run ends with exit code 74, and the same command resumes later.
REFUSED = PASSING | {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM, errno.ENXIO}
_TRIES = 4
_MACHINE = f"{zlib.crc32(socket.gethostname().encode()):08x}"

T = TypeVar("T")


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file that is there whole or not at all: beside its place, to the disk, renamed, and its name to the disk.

    Raises
    ------
    StorageError
        The file system refused; what was there before still is.
    """
    data = content.encode() if isinstance(content, str) else content

    def write() -> None:
        _sweep(path)
        new = path.with_name(f".{path.name}.{writer()}.partial")
        try:
            with new.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise
        _sync(path.parent)

    patiently(write, path)


def writer() -> str:
    """Return a name for this process, for the files that it writes: other machines may write to the same folder."""
    return f"{_MACHINE}-{os.getpid()}"


def is_gone(name: str) -> bool:
    """Tell whether a writer was a process of this machine that has ended; of another machine's nothing is known."""
    machine, _, process = name.partition("-")
    return machine == _MACHINE and process.isdecimal() and not psutil.pid_exists(int(process))


def sync_file_system(path: Path) -> None:
    """Force everything written so far on the file system of `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _syncfs is None:
            os.sync()
        elif _syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def link(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sync_file(path: Path) -> None:
    """Force a file and its name to the disk."""
    _sync(path)
    _sync(path.parent)


def patiently(action: Callable[[], T], path: Path) -> T:
    """Do it, again where a network file system hiccups; raise StorageError where it is refused."""
    for attempt in range(_TRIES):
        try:
            return action()
        except OSError as error:
            if error.errno not in PASSING or attempt == _TRIES - 1:
                raise storage_error(error, path) from error
            time.sleep(0.5 * 2**attempt)
    raise AssertionError


@contextlib.contextmanager
def refusals_in_words(path: Path) -> Iterator[None]:
    """Raise StorageError where the file system refuses what is written within."""
    try:
        yield
    except OSError as error:
        if error.errno in REFUSED:
            raise storage_error(error, path) from error
        raise


def storage_error(error: OSError, path: Path) -> StorageError:
    """Return the error of a refused write, in words."""
    reason = error.strerror or str(error)
    return StorageError(
        f"writing was refused: {reason} (errno {error.errno})",
        where=error.filename or path,
        remedy="Free some space or check permissions and quota, then run again: it continues where it stopped",
    )


def _sweep(path: Path) -> None:
    """Remove what killed writers of a file left beside its place."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        if is_gone(left.name.rsplit(".", 2)[1]):
            with contextlib.suppress(OSError):  # another user's, in a folder of everybody
                left.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load_syncfs() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function


_syncfs = _load_syncfs()
