"""Handing jobs to a process behind the fence, with a clock; whatever becomes of that process is told, not suffered."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import psutil

from stemdask.errors import ConfigError, StemdaskError
from stemdask.fence import wire
from stemdask.fence.child import DEATH
from stemdask.model import Array

log = logging.getLogger(__name__)

#: Seconds for the process to start.
START_SECONDS = 300.0
#: Added to the limit of frames until one was good: compiling and loading kernels isn't a frame's fault.
COMPILE_SECONDS = 120.0
#: Signals that others send: the kernel when memory is short, a scheduler at the end of a job.
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)
_TICK = 0.5
#: Seconds for a process to go that was killed.
_END_SECONDS = 30.0
_STARTS = 3

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


class Died(Exception):
    """The process ended during a job."""

    def __init__(self, code: int, words: str = "") -> None:
        self.code = code
        """As `subprocess` returns it."""
        self.words = words
        """What it said of its end."""
        super().__init__(code)

    @property
    def from_outside(self) -> bool:
        """It was killed by a signal that others send."""
        return -self.code in FROM_OUTSIDE

    def cause(self) -> str:
        """Return it in words."""
        if self.code >= 0:
            return f"its process exited with code {self.code}"
        try:
            return f"its process was ended by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"its process was ended by signal {-self.code}"


class Overdue(TimeoutError):
    """A job took longer than it may; says what it was at."""


class Raised(Exception):
    """A job raised something that isn't one of our errors; its text says what."""


class Fence:
    """A process for jobs, started when it is needed and again when it was lost.

    Parameters
    ----------
    give_up
        Asked about twice a second while a job runs; true abandons it by InterruptedError.
    """

    def __init__(self, give_up: Callable[[], bool] | None = None) -> None:
        self._give_up = give_up
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = self._answers = self._deaths = -1
        self._fork = 0
        self._number = 0
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def __enter__(self) -> Fence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def keeps(self) -> bool:
        """The first process is there, and knows what jobs left in it that were to be kept."""
        return self._process is not None and self._process.poll() is None

    @property
    def running(self) -> bool:
        """The fork is there, and knows what earlier jobs left in it."""
        return self.keeps and self._fork != 0

    def ask(
        self,
        job: str,
        given: Mapping[str, Any] | None = None,
        arrays: Mapping[str, Array] | None = None,
        *,
        seconds: float,
        cpu_seconds: float | None = None,
        keep: bool = False,
    ) -> tuple[Any, dict[str, Array]]:
        """Have a job done.

        Parameters
        ----------
        job
            Module and function, as ``stemdask.sources.fenced:opened``, which takes what is given and returns the same.
        given, arrays
            What it is told; JSON-able, and arrays by name.
        seconds
            Time that it may take between two beats, s.
        cpu_seconds
            Time of a core that it may take between two beats, s; unlike the other, the same on a busy machine.

        keep
            What it leaves in its process outlives the deaths of later jobs; for jobs that do no harm.

        Raises
        ------
        Overdue
            It took longer, and its process was ended.
        Died
            Its process ended.
        InterruptedError
            It was given up.
        StemdaskError
            The error of the job.
        Raised
            Any other exception of the job.
        """
        with self._lock:
            try:
                if not self.keeps:
                    self._start()
                self._bury()
                if keep and self._fork:
                    self._end_fork()
                self._number += 1
                folder = os.getcwd()  # noqa: PTH109
                request = {"job": job, "given": given or {}, "folder": folder, "keep": keep, "number": self._number}
                self._write(wire.pack(request, arrays or {}))
                header, values = self._receive(seconds, cpu_seconds)
            except (Overdue, InterruptedError):
                self._end_fork()
                raise
            except Died:
                raise
            except BaseException:
                self._end()
                raise
            self._forget_words()
        if "raised" in header:
            raise _rebuilt(header["raised"])
        return header["answer"], values

    def end(self) -> None:
        """End the process; another one is started for the next job."""
        with self._lock:
            self._end()

    def close(self) -> None:
        """End the process for good."""
        self.end()
        self._output.close()

    def _end(self) -> None:
        for descriptor in (self._requests, self._answers, self._deaths):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._requests = self._answers = self._deaths = -1
        self._fork = 0
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process = None

    def _bury(self) -> None:
        """Take note of a fork that somebody killed between two jobs: the next one is not to blame."""
        poll = select.poll()
        poll.register(self._deaths, select.POLLIN)
        if poll.poll(0):
            os.read(self._deaths, DEATH.size)
            self._fork = 0

    def _end_fork(self) -> None:
        """End the fork alone; everything where it doesn't go."""
        if self.keeps and self._fork:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._fork, signal.SIGKILL)
            try:
                self._receive(_END_SECONDS, None)
            except Died:
                if self.keeps:
                    return
            except Overdue:
                pass
        self._end()

    def _start(self) -> None:
        for left in reversed(range(_STARTS)):
            self._end()
            self._spawn()
            try:
                self._receive(START_SECONDS, None)
            except (Overdue, Died) as error:
                if not (isinstance(error, Died) and error.from_outside) or not left:
                    words = error.words if isinstance(error, Died) else ""
                    raise StemdaskError(f"the helper process didn't start ({error!r}){words}") from error
            else:
                return

    def _spawn(self) -> None:
        child_in, self._requests = os.pipe()
        self._answers, child_out = os.pipe()
        self._deaths, child_deaths = os.pipe()
        os.set_blocking(self._answers, False)
        command = [sys.executable, "-m", "stemdask.fence.child"]
        command += [str(number) for number in (os.getpid(), child_in, child_out, child_deaths)]
        try:
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env=os.environ | ONE_THREAD,
                pass_fds=(child_in, child_out, child_deaths),
                process_group=0,
            )
        finally:
            os.close(child_in)
            os.close(child_out)
            os.close(child_deaths)

    def _write(self, message: bytes) -> None:
        view = memoryview(message)
        with contextlib.suppress(BrokenPipeError):  # the end of the answers says why
            while view:
                view = view[os.write(self._requests, view) :]

    def _receive(self, seconds: float, cpu_seconds: float | None) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the next message of the job that is no beat.

        A fork that dies before it takes its job leaves it to the next one: by then it may have been asked for again,
        and what the first asking comes to must not be taken for the answer.
        """
        at = ""
        while True:
            clock = _Clock(seconds, cpu_seconds, self._fork, at)
            prefix = self._read(wire.PREFIX, clock)
            header, values = wire.unpack(prefix, self._read(wire.body_length(prefix), clock))
            if "process" in header:
                self._fork = header["process"]
            elif header["number"] != self._number and "ready" not in header:
                continue
            elif "beat" in header:
                at = header["beat"] or at
            else:
                return header, values

    def _read(self, n: int, clock: _Clock) -> bytes:
        parts = bytearray()
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        poll.register(self._deaths, select.POLLIN)
        while len(parts) < n:
            ready = {descriptor for descriptor, _ in poll.poll(1000 * min(max(clock.left(), 0.0), _TICK))}
            if not ready:
                clock.check()
                if self._give_up is not None and self._give_up():
                    raise InterruptedError
            elif self._answers in ready:
                try:
                    part = os.read(self._answers, min(n - len(parts), 1 << 20))
                except BlockingIOError:
                    continue
                if not part:
                    code = self._process.wait() if self._process is not None else 0
                    words = self._words()
                    self._end()
                    raise Died(code, words)
                parts += part
            else:  # all that the fork had said is read, the rest of it will never come
                death = os.read(self._deaths, DEATH.size)
                self._fork = 0
                if death:
                    raise Died(DEATH.unpack(death)[0], self._words())
                poll.unregister(self._deaths)
        return bytes(parts)

    def _words(self) -> str:
        """Return what the process said of its end."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - 20_000))
        text = self._output.read().decode(errors="replace").partition("\nExtension modules:")[0].strip()
        self._forget_words()
        return f"; it said:\n{text[-2000:]}" if text else ""

    def _forget_words(self) -> None:
        if self._output.seek(0, os.SEEK_END):
            self._output.seek(0)
            self._output.truncate()


class _Clock:
    """The time of a job since its last beat."""

    def __init__(self, seconds: float, cpu_seconds: float | None, process: int, at: str) -> None:
        self._end = time.monotonic() + seconds
        self._process = process
        self._cpu_end = None if cpu_seconds is None else self._spent() + cpu_seconds
        self._at = at

    def left(self) -> float:
        return self._end - time.monotonic()

    def check(self) -> None:
        if self.left() <= 0 or (self._cpu_end is not None and self._spent() > self._cpu_end):
            raise Overdue(self._at)

    def _spent(self) -> float:
        try:
            spent = psutil.Process(self._process).cpu_times()
        except psutil.Error:
            return 0.0
        return float(spent.user + spent.system)


class _AsSaid(str):
    """A value that was written by `repr` behind the fence."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _rebuilt(raised: Mapping[str, Any]) -> Exception:
    kind = _kinds(StemdaskError).get(raised["kind"])
    if kind is None:
        return Raised(raised["text"])
    more = {"problems": raised["problems"]} if issubclass(kind, ConfigError) else {}
    value = _AsSaid(raised["value_as"]) if raised["value_as"] else raised["value"]
    return kind(
        raised["what"],
        where=raised["where"],
        value=value,
        allowed=raised["allowed"],
        remedy=raised["remedy"],
        **more,
    )


def _kinds(base: type[StemdaskError]) -> dict[str, type[StemdaskError]]:
    found = {base.__name__: base}
    for kind in base.__subclasses__():
        found |= _kinds(kind)
    return found


_shared: Fence | None = None


def shared() -> Fence:
    """Return the fence of this process, behind which inputs are opened and tried; one start serves them all."""
    global _shared
    if _shared is None or _shared._owner != os.getpid():
        _shared = Fence()
    return _shared


@atexit.register
def close_shared() -> None:
    """End the process of the shared fence."""
    global _shared
    if _shared is not None:
        _shared.close()
    _shared = None
