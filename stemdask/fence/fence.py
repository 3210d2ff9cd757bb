"""Handing jobs to a process behind the fence, with a clock; whatever becomes of that process is told, not suffered."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import psutil

from stemdask.errors import ClusterError, ConfigError, StemdaskError
from stemdask.fence import process, spent, wire
from stemdask.fence.channel import Channel, ClosedError, ForkDiedError
from stemdask.model import Array

log = logging.getLogger(__name__)

#: Seconds for the process to start.
START_SECONDS = 300.0
#: Added to the limit of frames until one was good: compiling and loading kernels isn't a frame's fault.
COMPILE_SECONDS = 120.0
#: Signals that others send: the kernel when memory is short, a scheduler at the end of a job.
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)
#: Seconds for a process to go that was killed.
_END_SECONDS = 30.0
#: Times its limit that a job may wait for a processor besides.
_BUSIEST = 10.0
#: A process, or a fork for one job, is started at most so many times while others kill it.
_STARTS = 3


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


class _NotTakenError(Exception):
    """The fork ended before it took its job."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class Overdue(TimeoutError):
    """A job took longer than it may; says what it was at."""


class Raised(Exception):
    """A job raised something that isn't one of our errors; its text says what."""


def not_started(why: Overdue | Died | Raised) -> StemdaskError:
    """Return the error of a process that never came to its first job; of the cluster, where somebody else ended it."""
    if isinstance(why, Died) and why.from_outside:
        return ClusterError(
            f"the helper process was killed each time it started: {why.cause()}",
            remedy="Another user did that, or the system for lack of memory: check what else runs, and run again",
        )
    return StemdaskError(f"the helper process didn't start ({why!r}){why.words if isinstance(why, Died) else ''}")


class Fence:
    """A process for jobs, started when it is needed and again when it was lost.

    Parameters
    ----------
    give_up
        Asked about twice a second while a job runs; true abandons it by InterruptedError.
    """

    def __init__(self, give_up: Callable[[], bool] | None = None) -> None:
        self._give_up = give_up
        self._process: process.Process | None = None
        self._kept: dict[str, _Kept] = {}
        self._channel: Channel | None = None
        self._fork = 0
        self._number = 0
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
        self._owner = os.getpid()
        self._thread = threading.current_thread()
        self._lock = threading.Lock()
        self._closing = False

    def __enter__(self) -> Fence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """The fork is there, and knows what earlier jobs left in it."""
        return self._is_there and self._fork != 0

    @property
    def _is_there(self) -> bool:
        return self._process is not None and self._process.poll() is None

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
            Time that it may take between two beats, s, without that for which others have the processors.
        cpu_seconds
            Time of a core that it may take between two beats, s; unlike the other, the same on a busy machine.
        keep
            Later jobs need what it leaves in its process: it is repeated wherever that was lost. For jobs that do no
            harm. Of several with the same name, the last one counts.

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
            if self._closing:
                raise InterruptedError
            if not self._is_there:
                self._start()
            self._bury()
            if keep:
                self._kept.pop(job, None)
            what = _Kept(given or {}, arrays or {})
            for left in reversed(range(_STARTS)):
                if not self._fork:
                    self._restore()
                try:
                    found = self._do(job, what, seconds, cpu_seconds, keep=keep and not self._fork)
                    break
                except _NotTakenError as died:  # a new fork takes it
                    if not left:
                        raise Died(died.code, self._words()) from died
            if keep:
                self._kept[job] = replace(what, everywhere=not self._fork)
            return found

    def _restore(self) -> None:
        """Do in the first process, of which the next fork is made, what was to be kept and isn't there yet."""
        for job, kept in self._kept.items():
            if not kept.everywhere:
                self._do(job, kept, START_SECONDS + COMPILE_SECONDS, None, keep=True)
                kept.everywhere = not self._fork  # one may have been made for the job that the last one didn't take

    def _do(
        self, job: str, what: _Kept, seconds: float, cpu_seconds: float | None, *, keep: bool
    ) -> tuple[Any, dict[str, Array]]:
        """Have a job done, in the first process if that is to keep it."""
        self._number += 1
        folder = os.getcwd()  # noqa: PTH109
        request = {"job": job, "given": what.given, "folder": folder, "keep": keep, "number": self._number}
        try:
            clock = _Clock(seconds, cpu_seconds, self._fork, "", self._is_given_up)
            self._write(wire.pack(request, what.arrays), clock)
            header, values = self._receive(seconds, cpu_seconds)
        except (Overdue, InterruptedError):
            self._end_fork()
            raise
        except (Died, _NotTakenError):
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
        """End the process for good; a job that another thread has it do is abandoned."""
        self._closing = True
        self.end()
        self._output.close()

    def _is_given_up(self) -> bool:
        return self._closing or (self._give_up is not None and self._give_up())

    def _end(self) -> None:
        for kept in self._kept.values():
            kept.everywhere = False
        if self._channel is not None:
            self._channel.close()
        self._channel = None
        self._fork = 0
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process = None

    def _bury(self) -> None:
        """Take note of a fork that somebody killed between two jobs: the next one is not to blame."""
        if self._channel is not None and self._channel.bury():
            self._fork = 0

    def _end_fork(self) -> None:
        """End the fork alone; everything where it doesn't go."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._fork, signal.SIGKILL)
            try:
                self._receive(_END_SECONDS, None)
            except (Died, _NotTakenError):
                if self._is_there:
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
                if not (isinstance(error, Died) and error.from_outside and left):
                    raise not_started(error) from error
            else:
                return

    def _spawn(self) -> None:
        channel = self._channel = Channel()
        try:
            self._owner = os.getpid()
            self._thread = threading.current_thread()  # with which the process ends
            self._process = process.start(*channel.ends, self._output)
        finally:
            channel.handed_over()

    def _write(self, message: bytes, clock: _Clock) -> None:
        assert self._channel is not None
        self._channel.write(message, clock)

    def _receive(self, seconds: float, cpu_seconds: float | None) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the next message of the job that is no beat; one that was given up may have left others."""
        at = ""
        while True:
            clock = _Clock(seconds, cpu_seconds, self._fork, at, self._is_given_up)
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
        assert self._channel is not None
        try:
            return self._channel.read(n, clock)
        except ForkDiedError as died:
            self._fork = 0
            if not died.taken:
                raise _NotTakenError(died.code) from died
            raise Died(died.code, self._words()) from died
        except ClosedError:
            code = self._process.wait() if self._process is not None else 0
            words = self._words()
            self._end()
            raise Died(code, words) from None

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


@dataclass
class _Kept:
    """What a job was told whose effect is to be kept."""

    given: Mapping[str, Any]
    arrays: Mapping[str, Array]
    everywhere: bool = False
    """Its effect is in the first process too, and outlives the fork."""


class _Clock:
    """The time of a job since its last beat."""

    def __init__(
        self, seconds: float, cpu_seconds: float | None, process: int, at: str, give_up: Callable[[], bool]
    ) -> None:
        self._begun, self._seconds = time.monotonic(), seconds
        self._process = process
        self._waited: float | None = None  # as nothing came for the first time; most jobs have ended before
        self._cpu_seconds = cpu_seconds
        self._cpu_end: float | None = None
        self._at = at
        self._give_up = give_up

    def left(self) -> float:
        left = self._seconds - (time.monotonic() - self._begun)
        if self._waited is None:
            return left
        # That others have the processors is no fault of a job; but one that is never let run isn't waited for forever.
        return left + min(max(0.0, spent.waited(self._process) - self._waited), _BUSIEST * self._seconds)

    def check(self) -> None:
        if self._waited is None:
            self._waited = spent.waited(self._process)
            if self._cpu_seconds is not None:
                self._cpu_end = self._spent() + self._cpu_seconds
        if self.left() <= 0 or (self._cpu_end is not None and self._spent() > self._cpu_end):
            raise Overdue(self._at)
        if self._give_up():
            raise InterruptedError

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


_free: list[Fence] = []
_guard = threading.Lock()


@contextlib.contextmanager
def lent(give_up: Callable[[], bool] | None = None) -> Iterator[Fence]:
    """Lend a fence of this process, which stays for the next that needs one: one start serves a run.

    Parameters
    ----------
    give_up
        As for `Fence`, as long as it is lent.
    """
    with _guard:
        while _free and _free[-1]._owner != os.getpid():
            _free.pop()
        fence = _free.pop() if _free else Fence()
    fence._give_up = give_up
    try:
        yield fence
    finally:
        fence._give_up = None
        fence._kept.clear()
        with _guard:
            if _free or fence._thread is not threading.current_thread():
                fence.close()
            else:
                _free.append(fence)


@atexit.register
def close_free() -> None:
    """End the process of the fence that isn't lent."""
    with _guard:
        while _free:
            _free.pop().close()
