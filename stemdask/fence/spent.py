"""What threads and processes take of the machine, as Linux counts it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path


class Clock:
    """Time without that for which others had the processors; all of it where that isn't counted."""

    def __init__(self) -> None:
        self._begun, self._waited = time.perf_counter(), waited("thread-self")

    def own(self) -> float:
        """Return the seconds since this clock was made, of the thread that made it."""
        return max(0.0, time.perf_counter() - self._begun - (waited("thread-self") - self._waited))


def waited(process: int | str) -> float:
    """Return the seconds for which a process, or its first thread, was ready to run and others ran; 0 if unknown."""
    # Asked twice a frame: a quarter of the time of a file object.
    with contextlib.suppress(OSError, ValueError, IndexError):
        file = os.open(f"/proc/{process}/schedstat", os.O_RDONLY)
        try:
            return int(os.read(file, 128).split()[1]) / 1e9
        finally:
            os.close(file)
    return 0.0


def forget() -> None:
    """Forget what was allocated and given back since."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory() -> int:
    """Return the bytes that were allocated at most, since the last `forget`; 0 where they aren't counted."""
    found = {"VmHWM": 0, "RssFile": 0}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in found:
                found[name] = 1024 * int(rest.split()[0])
    return max(0, found["VmHWM"] - found["RssFile"])
