"""SIGTERM, SIGHUP and Ctrl-C: end in order once, at once the second time."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

#: Seconds that blocks in flight may take to end; a scheduler kills 30 s after its SIGTERM.
GRACE = 20.0
#: Environment variable by which a job script says that it puts itself back into the queue when its driver was stopped.
COMES_BACK = "STEMDASK_COMES_BACK"


class Stop:
    """Whether somebody asked the run to stop; listens while it is entered, in the main thread only."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._since = 0.0
        self._before: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """A signal came."""
        return self.signal is not None

    def overdue(self) -> bool:
        """Tell whether the time for an orderly end is over."""
        return self.requested and time.monotonic() - self._since > GRACE

    def comes_back(self) -> bool:
        """Tell whether the job around this process was told to end and will run again."""
        return self.signal is signal.Signals.SIGTERM and COMES_BACK in os.environ

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # under nohup
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            self.signal, self._since = signal.Signals(number), time.monotonic()
