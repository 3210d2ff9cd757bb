"""The checks before a reader is called, and the wall around every call of one.

Readers trust their input: a header of 1 kB may make them allocate terabytes, a FIFO makes them wait for ever. What
can be known from the file's kind, size and first bytes is checked here first.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

import psutil

from stemdask.errors import InputError

_SAMPLE = 1 << 16
_MOST_WARNINGS = 12
OPENING_SECONDS = 120.0
"""Time for one image file to be opened: headers, not pixels."""
_CHECKED: dict[str, tuple[tuple[int, int, int], str]] = {}
"""What this process has already found a file to be: path -> ((size, mtime, inode), digest)."""

#: First bytes by format, at their offset. A format that isn't here has no signature.
_MAGIC: dict[str, tuple[tuple[int, bytes], ...]] = {
    "dm": ((0, b"\0\0\0\x03"), (0, b"\0\0\0\x04")),
    "hspy": ((0, b"\x89HDF\r\n\x1a\n"),),
    "emd": ((0, b"\x89HDF\r\n\x1a\n"),),
    "tiff": ((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+")),
    "png": ((0, b"\x89PNG\r\n\x1a\n"),),
    "npy": ((0, b"\x93NUMPY"),),
    "ser": ((0, b"II\x97\x01"),),
    "mrc": ((208, b"MAP "), (208, b"MAP\0")),
    "traj": ((0, b"- of Ulm"),),
}
_NAMES = {
    "dm": "a DigitalMicrograph file",
    "hspy": "an HDF5 file",
    "emd": "an HDF5 file",
    "tiff": "a TIFF file",
    "png": "a PNG file",
    "npy": "a NumPy file",
    "ser": "a TIA file",
    "mrc": "an MRC file",
    "traj": "an ASE trajectory",
}
_TEXT = frozenset({"pdb", "xyz", "lammps", "cif"})


def check_file(path: str, fmt: str) -> int:
    """Check that `path` is a regular, readable file whose first bytes fit its format; return its size in bytes."""
    place = Path(path)
    try:
        status = place.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("not a regular file", where=path, remedy="Name a file, not a folder, pipe or device")
        if status.st_size == 0:
            raise InputError("the file is empty (0 bytes)", where=path, remedy="Copy it again from its origin")
        with place.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise _os_error(path, error) from None
    if fmt in _TEXT:
        if b"\0" in head:
            raise _wrong_content(path, head)
    elif fmt in _MAGIC and not any(head[at : at + len(magic)] == magic for at, magic in _MAGIC[fmt]):
        raise _wrong_content(path, head)
    return status.st_size


def digest(path: str) -> str:
    """Return 16 hexadecimal digits that stand for size, first and last 64 kB of a file, or for a zarr."""
    place = Path(path)
    if place.is_dir():
        return _digest_of_folder(place)
    size = place.stat().st_size
    sums = hashlib.blake2b(str(size).encode(), digest_size=8)
    with place.open("rb") as file:
        sums.update(file.read(_SAMPLE))
        if size > _SAMPLE:
            file.seek(max(_SAMPLE, size - _SAMPLE))
            sums.update(file.read(_SAMPLE))
    return sums.hexdigest()


def _digest_of_folder(folder: Path) -> str:
    """Stand for a zarr: the names and sizes of its files, and the bytes of some of them."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    sums = hashlib.blake2b(digest_size=8)
    for at, file in enumerate(files):
        sums.update(f"{file.relative_to(folder)} {file.stat().st_size}\n".encode())
        if file.suffix == ".json" or at % max(1, len(files) // 32) == 0:
            sums.update(file.read_bytes()[:_SAMPLE])
    return sums.hexdigest()


def ends_whole(path: str, fmt: str) -> bool:
    """Tell whether a text ends with the end of a line, as a whole one does, or with a whole line of a PDB."""
    with Path(path).open("rb") as file:
        file.seek(-min(200, file.seek(0, os.SEEK_END)), os.SEEK_END)
        last = file.read().rpartition(b"\n")[2]
    if not last:
        return True
    return fmt == "pdb" and (last in (b"END", b"ENDMDL") or (last.startswith((b"ATOM", b"HETATM")) and len(last) >= 78))


def check_unchanged(path: str, expected: str) -> None:
    """Raise InputError where the file isn't the one that was planned; costs one `stat` a call."""
    try:
        status = Path(path).stat()
        state = (status.st_size, status.st_mtime_ns, status.st_ino)
        known = _CHECKED.get(path)
        if known is None or known[0] != state:
            if len(_CHECKED) > 4096:
                _CHECKED.clear()
            _CHECKED[path] = known = (state, digest(path))
    except OSError as error:
        raise _os_error(path, error) from None
    if known[1] != expected:
        raise InputError(
            "the file changed after the run was planned",
            where=path,
            remedy="Put the file back, or start a run of its own for the new one",
        )


@cache
def frame_budget() -> int:
    """Bytes that one frame may take in memory: an eighth of this machine's."""
    return int(psutil.virtual_memory().total) // 8


def in_short(said: list[str]) -> tuple[str, ...]:
    """Return the first warnings, each once; thousands of files may all be odd in the same way."""
    different = list(dict.fromkeys(said))
    more = len(different) - _MOST_WARNINGS
    return (*different[:_MOST_WARNINGS], *([f"and {more} more such warnings"] if more > 0 else []))


def check_budget(path: str, n_bytes: int) -> None:
    """Refuse a frame that doesn't fit the memory budget."""
    if n_bytes > frame_budget():
        raise InputError(
            f"one frame needs {n_bytes / 2**30:.3g} GiB of memory",
            where=path,
            allowed=f"{frame_budget() / 2**30:.3g} GiB, an eighth of this machine's memory",
            remedy="Crop or bin the frames, or use a machine with more memory",
        )


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn whatever escapes a reader into one InputError that names the file."""
    try:
        yield
    except InputError as error:
        if error.where is not None:
            raise
        raise InputError(
            error.what, where=path, value=error.value, allowed=error.allowed, remedy=error.remedy
        ) from error
    except OSError as error:
        raise _os_error(path, error) from error
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        # Readers of foreign files raise anything: struct.error, RecursionError, UnboundLocalError, MemoryError.
        raise InputError(
            f"the reader failed with {type(error).__name__}: {_one_line(str(error))}".rstrip(": "),
            where=path,
            remedy="The file may be truncated or damaged; copy it again from its origin",
        ) from error


@contextmanager
def in_time(path: str) -> Iterator[None]:
    """Give up on a reader that loops over a damaged file; only the main thread can be interrupted so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        raise InputError(
            f"opening it takes more than {OPENING_SECONDS:g} s",
            where=path,
            remedy="The file may be damaged; copy it again from its origin",
        )

    handler = signal.signal(signal.SIGALRM, give_up)
    start = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, OPENING_SECONDS)
    try:
        yield
    finally:
        remaining = max(left - (time.monotonic() - start), 1e-3) if left else 0.0
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, remaining, interval)


def _wrong_content(path: str, head: bytes) -> InputError:
    for fmt, magics in _MAGIC.items():
        if any(head[at : at + len(magic)] == magic for at, magic in magics):
            return InputError(
                f"the content is {_NAMES[fmt]}, the suffix says {Path(path).suffix}",
                where=path,
                remedy="Give the file the suffix of its content",
            )
    return InputError(
        f"the content doesn't fit the suffix {Path(path).suffix}",
        where=path,
        remedy="The file may be damaged; copy it again from its origin",
    )


def _os_error(path: str, error: OSError) -> InputError:
    reason = os.strerror(error.errno) if error.errno else _one_line(str(error)) or type(error).__name__
    return InputError(f"can't be read: {reason}", where=path, remedy="Check the path, its permissions and its origin")


def _one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 200 else line[:199] + "…"
