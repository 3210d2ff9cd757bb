"""The helper process of a worker: reads and analyses single frames where they can harm nobody.

Started as ``python -m stemdask.engine.helper STORE PARENT REQUESTS ANSWERS``: frame indices come in on one descriptor
and messages go out on the other, so that what an analysis prints can't enter a message.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from stemdask.engine import wire
from stemdask.engine.block import FrameResult, evaluate, failed
from stemdask.errors import StemdaskError
from stemdask.model import FrameStatus, Plan
from stemdask.planning import plan_file as plan_files
from stemdask.store.constants import read_constants
from stemdask.store.layout import plan_file

_PR_SET_PDEATHSIG = 1


def main(store: str, parent: int, requests: int, answers: int) -> None:
    """Serve frames until the worker closes its end."""
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    try:
        plan = plan_files.load(plan_file(store))
        prepared = read_constants(plan)
        _limit_memory(plan)
    except Exception as error:  # noqa: BLE001 - said by the worker
        _send(answers, {"broken": f"{type(error).__name__}: {error}"})
        return
    _send(answers, {"ready": True})
    while len(request := os.read(requests, wire.INDEX.size)) == wire.INDEX.size:
        (index,) = wire.INDEX.unpack(request)
        try:
            _answer(answers, _evaluate(plan, prepared, index))
        except StemdaskError as error:
            _send(answers, {"broken": str(error)})


def _evaluate(plan: Plan, prepared: dict[str, Any], index: int) -> FrameResult:
    try:
        return evaluate(plan, prepared, index)
    except StemdaskError:
        raise
    except BaseException as error:  # noqa: BLE001 - not even an interrupt of its own making may end the helper
        return failed(f"{type(error).__name__}: {error}")


def _answer(answers: int, result: FrameResult) -> None:
    header = {
        "status": int(result.status),
        "error": result.error,
        "seconds": result.seconds,
        "time": result.time,
        "input_hash": result.input_hash,
    }
    try:
        message = wire.pack(header, result.values)
    except MemoryError as error:
        header |= {"status": int(FrameStatus.FAILED), "error": f"MemoryError: {error}"}
        message = wire.pack(header, {})
    _write(answers, message)


def _send(answers: int, header: dict[str, Any]) -> None:
    _write(answers, wire.pack(header, {}))


def _write(answers: int, message: bytes) -> None:
    view = memoryview(message)
    while view:
        view = view[os.write(answers, view) :]


def _limit_memory(plan: Plan) -> None:
    """Allow the frames so much address space beyond what the imports took."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + plan.limits.memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (plan.limits.memory, plan.limits.memory))


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
