"""The pipes between the two sides of a fence, and what a death leaves in them.

A fork that is killed may have taken part of a request, and sent part of an answer. The first process tells of the death
and waits until this side has emptied both pipes: so no message is ever completed by a piece of another one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
from typing import NamedTuple, Protocol

from stemdask.fence.child import DEATH

_TICK = 0.5
_PIECE = 1 << 20


class Clock(Protocol):
    """Tells how long one may wait."""

    def left(self) -> float:
        """Return the seconds left."""
        ...

    def check(self) -> None:
        """Raise where there are none, or where nobody waits any more."""
        ...


class Ends(NamedTuple):
    """Descriptors of the other side."""

    requests: int
    answers: int
    deaths: int


class ForkDiedError(Exception):
    """The fork ended; the first process is there."""

    def __init__(self, code: int, *, taken: bool) -> None:
        self.code = code
        self.taken = taken
        """It had begun to read the last request."""
        super().__init__(code)


class ClosedError(Exception):
    """The first process ended, and the fork with it."""


class Channel:
    """The pipes as one side has them; `ends` are for the other."""

    def __init__(self) -> None:
        unread, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        ours, theirs = socket.socketpair()
        self._deaths = ours.detach()
        self.ends = Ends(unread, answers, theirs.detach())
        self._asked = 0
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):  # a user may have so much of them in all
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIECE)
        os.set_blocking(self._requests, False)
        os.set_blocking(self._answers, False)

    def handed_over(self) -> None:
        """Close the other side's ends, which it has by now; what it doesn't read can still be read from here."""
        os.close(self.ends.answers)
        os.close(self.ends.deaths)

    def close(self) -> None:
        """Close this side."""
        for descriptor in (self.ends.requests, self._requests, self._answers, self._deaths):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def write(self, message: bytes, clock: Clock) -> None:
        """Write a request, as far as there is somebody to read it: `read` says if there isn't."""
        view, self._asked = memoryview(message), 0
        poll = select.poll()
        poll.register(self._requests, select.POLLOUT)
        poll.register(self._deaths, select.POLLIN)
        while view:
            ready = _ready(poll, clock)
            if self._deaths in ready:
                return
            if not ready:
                clock.check()
                continue
            with contextlib.suppress(BlockingIOError):
                n = os.write(self._requests, view[:_PIECE])
                view, self._asked = view[n:], self._asked + n

    def read(self, n: int, clock: Clock) -> bytes:
        """Read so many bytes of answers.

        Raises
        ------
        ForkDiedError, ClosedError
            They will never come.
        """
        parts = bytearray()
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        poll.register(self._deaths, select.POLLIN)
        while len(parts) < n:
            ready = _ready(poll, clock)
            if not ready:
                clock.check()
            elif self._answers in ready:
                with contextlib.suppress(BlockingIOError):
                    part = os.read(self._answers, min(n - len(parts), _PIECE))
                    if not part:
                        raise ClosedError
                    parts += part
            else:  # all that the fork had said is read
                death = self._death()
                if death is not None:
                    raise death
                poll.unregister(self._deaths)
        return bytes(parts)

    def bury(self) -> bool:
        """Take note of a death, if there was one."""
        poll = select.poll()
        poll.register(self._deaths, select.POLLIN)
        return bool(poll.poll(0)) and self._death() is not None

    def _death(self) -> ForkDiedError | None:
        """Empty the pipes after a death, and let the first process go on; None where it is that which ended."""
        death = os.read(self._deaths, DEATH.size)
        if len(death) < DEATH.size:
            return None
        taken = _emptied(self.ends.requests) < self._asked
        _emptied(self._answers)
        self._asked = 0
        with contextlib.suppress(OSError):  # the end of the answers says why
            os.write(self._deaths, b"\0")
        return ForkDiedError(DEATH.unpack(death)[0], taken=taken)


def _ready(poll: select.poll, clock: Clock) -> set[int]:
    return {descriptor for descriptor, _ in poll.poll(1000 * min(max(clock.left(), 0.0), _TICK))}


def _emptied(descriptor: int) -> int:
    """Read all that a pipe holds, of which this is the only reader; return how many bytes it was."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    n = 0
    while any(event & select.POLLIN for _, event in poll.poll(0)):
        n += len(os.read(descriptor, _PIECE))
    return n
