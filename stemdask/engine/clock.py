"""Time as this process lives it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

#: Seconds between two ticks beyond which this process has stood still: stopped, swapped out, at a hung file system.
LONGEST = 20.0


class Clock:
    """Seconds in which this process was at work; while it stood still nobody could have answered it.

    Deadlines for others are measured on it, so that workers aren't given up for the time that their driver was away.
    """

    def __init__(self, source: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._last = source()
        self.seconds = 0.0
        """Since the clock was made, as of the last tick."""

    def tick(self) -> float:
        """Look at the time, which is to be done every second or so; return `seconds`."""
        now = self._source()
        gap, self._last = now - self._last, now
        if gap > LONGEST:
            log.warning("this process stood still for %.0f s, for which no worker is blamed", gap)
        else:
            self.seconds += gap
        return self.seconds
