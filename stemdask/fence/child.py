"""The process behind the fence: does one job after the other, each a function of stemdask that is named.

Started as ``python -m stemdask.fence.child PARENT REQUESTS ANSWERS``: jobs come in on one descriptor and messages go
out on the other, so that what a reader or an analysis prints can't enter a message. It ends with its parent.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
import sys
from importlib import import_module
from typing import Any

from stemdask.errors import ConfigError, StemdaskError
from stemdask.fence import inside, wire

_PR_SET_PDEATHSIG = 1


def main(parent: int, requests: int, answers: int) -> None:
    """Do jobs until the other side closes its end."""
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other side to handle
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    inside.enter(answers)
    inside.send({"ready": True}, {})
    while prefix := _read(requests, wire.PREFIX):
        header, arrays = wire.unpack(prefix, _read(requests, wire.body_length(prefix)))
        try:
            os.chdir(header["folder"])
            module, _, name = header["job"].partition(":")
            answer, values = getattr(import_module(module), name)(header["given"], arrays)
            inside.send({"answer": answer}, values)
        except BaseException as error:  # noqa: BLE001 - not even an interrupt of a job's own making may end this
            inside.send({"raised": _described(error)}, {})


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
    main(*map(int, sys.argv[1:4]))
