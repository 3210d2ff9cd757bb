"""The wall around every call of a reader: whatever it raises, how long it takes, how much memory a frame may need."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType

import psutil

from stemdask.errors import InputError

_MOST_WARNINGS = 12
OPENING_SECONDS = 10.0
"""Time of a core in which one file is opened, or another part of a long one is indexed, s."""
WAITING_SECONDS = 120.0
"""Time that a file may take which waits for its disk or network, s."""


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
        raise os_error(path, error) from error
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except MemoryError as error:
        raise InputError(
            f"its reader asks for more memory than there is: {_one_line(str(error))}".rstrip(": "),
            where=path,
            remedy="Raise limits.frame_memory if its frames are so large; if they aren't, the file is damaged",
        ) from error
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
            f"opening it takes more than {WAITING_SECONDS:g} s",
            where=path,
            remedy="The file may be damaged; copy it again from its origin",
        )

    handler = signal.signal(signal.SIGALRM, give_up)
    start = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, WAITING_SECONDS)
    try:
        yield
    finally:
        remaining = max(left - (time.monotonic() - start), 1e-3) if left else 0.0
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, remaining, interval)


def os_error(path: str, error: OSError) -> InputError:
    """Return the error for a file that the system refuses to read."""
    if error.errno == errno.EAGAIN:  # HDF5's own lock
        return InputError("another program has it open for writing", where=path, remedy="Close it there, and try again")
    reason = os.strerror(error.errno) if error.errno else _one_line(str(error)) or type(error).__name__
    return InputError(f"can't be read: {reason}", where=path, remedy="Check the path, its permissions and its origin")


def _one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 200 else line[:199] + "…"
