"""One driver at a time: a lock that can't go stale, and an epoch that fences the workers of a dead driver."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from stemdask.errors import Busy
from stemdask.store.disk import write_file

log = logging.getLogger(__name__)

#: Times that a lock is found taken before a driver is said to hold it.
_LOOKS = 3
#: Seconds between two looks of whoever only looks.
_BRIEFLY = 0.02
_UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL}


@contextlib.contextmanager
def driving(directory: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold the lock of a run directory; yield the epoch.

    The kernel releases the lock when its process ends, however it ends: there is nothing to unlock by hand.

    Parameters
    ----------
    directory
        The run directory.
    shared
        For drivers that do different blocks of one store side by side (a job array). They share an epoch, and no
        other driver can start.

    Raises
    ------
    Busy
        Another driver holds it.
    """
    with (directory / "lock").open("a+") as file:
        try:
            _take(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except BlockingIOError:
            file.seek(0)
            raise Busy(
                "another run is writing this store",
                where=directory,
                value=file.read().strip() or None,
                remedy="Wait until it ends, or stop it",
            ) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            log.warning("%s: the file system has no locks; don't start two runs on this store", directory)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        epoch = read_epoch(directory)
        if not shared or epoch == 0:
            epoch += 1
            write_file(directory / "epoch", str(epoch))
        yield epoch


def holder(directory: Path) -> str | None:
    """Return which process holds the lock of a run directory; None where no driver is known to be at work."""
    return _look(directory) or None


def is_free(directory: Path) -> bool:
    """Tell whether no driver is at work for certain: a lock that can't be looked at, as another user's, isn't free."""
    return _look(directory) == ""


@contextlib.contextmanager
def setting_up(directory: Path) -> Iterator[None]:
    """Let one driver at a time lay out or end a store that several share."""
    with (directory / "setup.lock").open("a") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _look(directory: Path) -> str | None:
    """Return which process holds a lock, "" where none does, and None where that can't be told.

    Whoever looks takes the lock for a moment, as no driver may hold it, not even with others; a driver that starts then
    looks again, as is done here in case somebody else is looking.
    """
    try:
        with _opened(directory / "lock") as file:
            for k in range(_LOOKS):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return ""
                time.sleep(_BRIEFLY if k + 1 < _LOOKS else 0.0)
            return file.read().strip() or "a process"
    except FileNotFoundError:
        return ""
    except OSError:
        return None


def _opened(path: Path) -> IO[str]:
    """Open a lock for writing, without which a network file system doesn't lend it, or as far as it can be."""
    try:
        return path.open("r+")
    except FileNotFoundError:
        raise
    except OSError:
        return path.open()


def _take(file: IO[str], how: int) -> None:
    """Take a lock, or raise BlockingIOError where a driver holds it and not merely somebody who looks."""
    for _ in range(_LOOKS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return
        time.sleep(0.1)
    fcntl.flock(file, how | fcntl.LOCK_NB)


def read_epoch(directory: Path) -> int:
    """Return the epoch of the latest driver; 0 before the first."""
    try:
        return int((directory / "epoch").read_text())
    except (OSError, ValueError):
        return 0
