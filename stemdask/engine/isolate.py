"""A bad frame harms only itself: the frames of a worker run in a helper process with a memory and a time limit.

Whatever happens there (a signal, an exit, no memory, an endless loop, a hang that holds the interpreter lock) becomes
that frame's status and reason; the helper is started again and the rest of the block goes on. Bisecting blocks by the
deaths of Dask workers was 25 times slower and blamed innocent frames.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from stemdask.engine import wire
from stemdask.engine.block import FrameResult, failed
from stemdask.errors import StemdaskError
from stemdask.model import Array, FrameStatus, Plan

log = logging.getLogger(__name__)

#: Seconds for a helper to import the analyses.
START_SECONDS = 300.0
#: Added to the limit of frames until one was good: compiling and loading kernels isn't a frame's fault.
COMPILE_SECONDS = 120.0
_TICK = 0.5
_STARTS = 3
#: Signals that others send: the kernel when memory is short, a scheduler at the end of a job.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


class _Died(Exception):
    """The helper ended; carries its return code."""


class Helper:
    """The helper process of one thread of a worker.

    Parameters
    ----------
    plan
        The run; its store is laid out and its run directory holds the plan.
    give_up
        Asked about twice a second while a frame runs; true abandons it by InterruptedError.
    """

    def __init__(self, plan: Plan, give_up: Callable[[], bool] | None = None) -> None:
        self._plan = plan
        self._give_up = give_up
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = self._answers = -1
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the helper
        self._good_frame: int | None = None

    def __call__(self, index: int) -> FrameResult:
        """Analyse one frame."""
        result = self._once(index)
        if result is None:
            result = self._once(index)  # the first death may have been meant for the job, not for the frame
        return result or failed("its process was killed twice (SIGKILL: out of memory?)")

    def close(self) -> None:
        """End the helper process for good."""
        self._end()
        self._output.close()

    def _end(self) -> None:
        for descriptor in (self._requests, self._answers):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._requests = self._answers = -1
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _once(self, index: int) -> FrameResult | None:
        """Analyse one frame; None when the helper was killed from outside."""
        if self._process is None:
            self._start()
        start = time.monotonic()
        seconds = self._plan.limits.seconds
        try:
            header, values = self._ask(index, seconds + (COMPILE_SECONDS if self._good_frame is None else 0))
        except TimeoutError:
            self._end()
            return failed(f"took longer than {seconds:g} s", time.monotonic() - start)
        except _Died as death:
            code = int(death.args[0])
            log.warning("frame %d ended its process (%s)%s", index, code, self._words())
            self._end()
            return None if -code in _FROM_OUTSIDE else failed(_cause(code), time.monotonic() - start)
        except BaseException:
            self._end()
            raise
        if "broken" in header:
            raise StemdaskError(header["broken"])
        self._forget_words()
        result = FrameResult(
            wire.status_of(header), header["error"], header["seconds"], header["time"], header["input_hash"], values
        )
        if self._good_frame is None and result.status is FrameStatus.OK:
            self._good_frame = index
        return result

    def _start(self) -> None:
        """Start the process, and let it load what frames need on one that is known to be good."""
        for left in reversed(range(_STARTS)):
            self._spawn()
            try:
                header, _ = self._receive(START_SECONDS)
                if "broken" not in header and self._good_frame is not None:
                    header, _ = self._ask(self._good_frame, self._plan.limits.seconds + COMPILE_SECONDS)
            except (TimeoutError, _Died) as error:
                words = self._words()
                self._end()
                killed = isinstance(error, _Died) and -int(error.args[0]) in _FROM_OUTSIDE
                if not killed or not left:
                    raise StemdaskError(f"the helper process didn't start ({error!r}){words}") from error
                continue
            except BaseException:
                self._end()
                raise
            if "broken" in header:
                self._end()
                raise StemdaskError(f"the helper process didn't start: {header['broken']}")
            return

    def _spawn(self) -> None:
        child_in, self._requests = os.pipe()
        self._answers, child_out = os.pipe()
        command = [sys.executable, "-m", "stemdask.engine.helper", self._plan.store]
        command += [str(number) for number in (os.getpid(), child_in, child_out)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env=os.environ | ONE_THREAD,
                pass_fds=(child_in, child_out),
                process_group=0,
            )
        finally:
            os.close(child_in)
            os.close(child_out)

    def _ask(self, index: int, seconds: float) -> tuple[dict[str, Any], dict[str, Array]]:
        with contextlib.suppress(BrokenPipeError):  # the end of the answers says why
            os.write(self._requests, wire.INDEX.pack(index))
        return self._receive(seconds)

    def _receive(self, seconds: float) -> tuple[dict[str, Any], dict[str, Array]]:
        deadline = time.monotonic() + seconds
        prefix = self._read(wire.PREFIX, deadline)
        return wire.unpack(prefix, self._read(wire.body_length(prefix), deadline))

    def _read(self, n: int, deadline: float) -> bytes:
        parts = bytearray()
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while len(parts) < n:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if not poll.poll(1000 * min(left, _TICK)):
                if self._give_up is not None and self._give_up():
                    raise InterruptedError
                continue
            part = os.read(self._answers, min(n - len(parts), 1 << 20))
            if not part:
                raise _Died(self._process.wait() if self._process is not None else 0)
            parts += part
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


def _cause(code: int) -> str:
    if code >= 0:
        return f"its process exited with code {code}"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"
