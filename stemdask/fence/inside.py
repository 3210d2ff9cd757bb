"""What a job can do behind the fence: say that it goes on, and limit itself. Elsewhere these do nothing."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stemdask.fence import wire
from stemdask.model import Array

_answers: int | None = None
"""Descriptor to write to; None outside the fence."""
_number = 0
"""Of the job that is being done."""
#: Place of what is allocated among the numbers of ``/proc/self/statm``, which are pages.
_DATA = 5


def enter(answers: int) -> None:
    """Say that this process is behind the fence."""
    global _answers
    _answers = answers


def is_here() -> bool:
    """Tell whether this process is behind the fence."""
    return _answers is not None


def begin(number: int) -> None:
    """Say which job is done from now on."""
    global _number
    _number = number


def beat(what: str = "") -> None:
    """Restart the clock of the job, and say what it turns to: the next file, the next part of a long one."""
    if _answers is not None:
        send({"beat": what}, {})


def send(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a message to the other side."""
    assert _answers is not None
    view = memoryview(wire.pack({**header, "number": _number}, arrays))
    while view:
        view = view[os.write(_answers, view) :]


def limit_memory(n_bytes: int, *, files: bool = True) -> None:
    """Allow so many bytes beyond what this process has, and no file that is larger unless it may write them.

    What is limited is what a process allocates (RLIMIT_DATA of Linux), not its address space: a file that is mapped to
    be read takes address space of its size, but no memory that isn't given back when others need it.
    """
    if _answers is None:
        return
    now = int(Path("/proc/self/statm").read_text().split()[_DATA]) * resource.getpagesize()
    for kind, limit in (
        (resource.RLIMIT_DATA, now + n_bytes),
        (resource.RLIMIT_FSIZE, n_bytes if files else resource.RLIM_INFINITY),
    ):
        resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))
