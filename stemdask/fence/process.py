"""The first process of a fence: a fork of this one where that is safe, an interpreter of its own elsewhere."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, NoReturn, Protocol

#: What keeps numeric libraries to one thread, as they are loaded.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
#: A file that a process behind the fence has open isn't locked: its owner may go on writing, which is noticed.
_NO_LOCKS = {"HDF5_USE_FILE_LOCKING": "FALSE"}


class Process(Protocol):
    """A child of this process."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def poll(self) -> int | None:
        """Return its code, negative for a signal; None while it runs."""
        ...

    def wait(self) -> int:
        """Return its code, once it has ended."""
        ...

    def kill(self) -> None:
        """End it by SIGKILL."""
        ...


def start(requests: int, answers: int, deaths: int, output: IO[bytes]) -> Process:
    """Start a process that does jobs; see `stemdask.fence.child`.

    A fork has imported what this process has, which takes an interpreter of its own a second of a core. A lock that
    another thread holds would stay locked in it indefinitely, so a process with threads isn't forked.

    Parameters
    ----------
    requests, answers, deaths
        Descriptors of its ends of three pipes.
    output
        Takes what it prints.
    """
    if _has_one_thread():
        parent = os.getpid()
        process = os.fork()
        if process == 0:
            _become_child(parent, requests, answers, deaths, output)
        return _Fork(process)
    command = [sys.executable, "-m", "stemdask.fence.child"]
    command += [str(number) for number in (os.getpid(), requests, answers, deaths)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=_NO_LOCKS | os.environ | ONE_THREAD,
        pass_fds=(requests, answers, deaths),
        process_group=0,
    )


class _Fork:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        code = self._look(0)
        assert code is not None
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _look(self, options: int) -> int | None:
        if self._code is None:
            process, status = os.waitpid(self.pid, options)
            if process:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code


def _has_one_thread() -> bool:
    """Tell whether this process has no other thread, not even of a library; False where that isn't known."""
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False


def _become_child(parent: int, requests: int, answers: int, deaths: int, output: IO[bytes]) -> NoReturn:
    """Turn a fork into what an interpreter of its own would be, and do jobs until the other side closes its end."""
    code = 1
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        nothing = os.open(os.devnull, os.O_RDWR)
        for source, target in ((nothing, 0), (output.fileno(), 1), (output.fileno(), 2)):
            os.dup2(source, target)
        # A lock lasts as long as any process has its file open, a pipe as long as any can write to it. The numbers stay
        # taken, so that an object of the parent that closes its file closes nothing that this process has opened.
        for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
            if descriptor not in (0, 1, 2, nothing, requests, answers, deaths):
                with contextlib.suppress(OSError):  # the listing's own
                    os.fstat(descriptor)
                    os.dup2(nothing, descriptor, inheritable=False)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, closefd=False) for n, mode in enumerate("rww"))
        os.environ.update(_NO_LOCKS | os.environ | ONE_THREAD)

        from threadpoolctl import threadpool_limits

        from stemdask.fence import child

        with threadpool_limits(1):
            child.main(parent, requests, answers, deaths)
        code = 0
    finally:
        os._exit(code)
