"""The processes behind the fence: one that keeps, and a fork of it that does one job after the other.

Started as ``python -m stemdask.fence.child PARENT REQUESTS ANSWERS DEATHS``: jobs, each a function of stemdask that is
named, come in on one descriptor, and messages go out on the other, so that what a reader or an analysis prints can't
enter a message. A job goes to the fork; when that dies, its code goes out on the third descriptor. As soon as a byte
comes back the next job has a new fork, which costs milliseconds where another start costs seconds. What is to outlive a
death is done in the first process. Both end with their parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import resource
import select
import signal
import struct
import sys
from importlib import import_module
from typing import Any

from stemdask.errors import ConfigError, StemdaskError
from stemdask.fence import inside, wire
from stemdask.model import Array

_PR_SET_PDEATHSIG = 1
#: The code of a process that died.
DEATH = struct.Struct("<i")


def main(parent: int, requests: int, answers: int, deaths: int) -> None:
    """Do jobs until the other side closes its end."""
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other side to handle
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    inside.enter(answers)
    inside.send({"ready": True}, {})
    while (message := _next(requests)) is not None:
        if message[0]["keep"]:
            _do(*message)
            continue
        with contextlib.suppress(Exception):  # said by the job itself
            import_module(message[0]["job"].partition(":")[0])
        before = os.getpid()
        fork = os.fork()
        if fork == 0:
            _die_with(before)
            _serve(requests, message)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
        if code == 0 and _is_closed(requests):
            return
        os.write(deaths, DEATH.pack(code))
        if not os.read(deaths, 1):  # the other side has emptied both pipes of what the fork left in them
            return


def _serve(requests: int, message: tuple[dict[str, Any], dict[str, Array]] | None) -> None:
    inside.send({"process": os.getpid()}, {})
    while message is not None:
        _do(*message)
        message = _next(requests)


def _do(header: dict[str, Any], arrays: dict[str, Array]) -> None:
    inside.begin(header["number"])
    try:
        os.chdir(header["folder"])
        module, _, name = header["job"].partition(":")
        answer, values = getattr(import_module(module), name)(header["given"], arrays)
        inside.send({"answer": answer}, values)
    except BaseException as error:  # noqa: BLE001 - not even an interrupt of a job's own making may end this
        inside.send({"raised": _described(error)}, {})


def _next(requests: int) -> tuple[dict[str, Any], dict[str, Array]] | None:
    prefix = _read(requests, wire.PREFIX)
    if len(prefix) < wire.PREFIX:
        return None
    return wire.unpack(prefix, _read(requests, wire.body_length(prefix)))


def _is_closed(requests: int) -> bool:
    """Tell whether the other side closed its end; a job may have left with code 0."""
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _described(error: BaseException) -> dict[str, Any]:
    text = f"{type(error).__name__}: {error}"
    if not isinstance(error, StemdaskError):
        return {"kind": "", "text": text}
    plain = isinstance(error.value, str | int | float | bool | None)
    return {
        "kind": type(error).__name__,
        "text": text,
        "what": error.what,
        "where": None if error.where is None else str(error.where),
        "value": error.value if plain else None,
        "value_as": "" if plain else repr(error.value),
        "allowed": None if error.allowed is None else str(error.allowed),
        "remedy": error.remedy,
        "problems": list(error.problems) if isinstance(error, ConfigError) else [],
    }


def _read(descriptor: int, n: int) -> bytes:
    """Read so many bytes; fewer, or none, where the other side has closed its end."""
    parts = bytearray()
    while len(parts) < n and (part := os.read(descriptor, min(n - len(parts), 1 << 20))):
        parts += part
    return bytes(parts)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
