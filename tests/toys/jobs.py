"""Jobs for the fence, good and bad."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import ConfigError, InputError
from stemdask.fence import inside


def echo(given: Any, arrays: Any) -> Any:
    return given, arrays


def process(given: Any, arrays: Any) -> Any:
    return os.getpid(), {}


def folder(given: Any, arrays: Any) -> Any:
    return str(Path.cwd()), {}


def crash(given: Any, arrays: Any) -> Any:
    ctypes.string_at(0)


def leave(given: Any, arrays: Any) -> Any:
    os._exit(3)


def kill(given: Any, arrays: Any) -> Any:
    os.kill(os.getpid(), 9)


def wait(given: Any, arrays: Any) -> Any:
    ctypes.PyDLL(None).sleep(1000)  # holds the interpreter lock: no signal handler of Python runs


def work_for(given: Any, arrays: Any) -> Any:
    end = time.thread_time() + given["seconds"]
    while time.thread_time() < end:
        pass
    return "done", {}


def work(given: Any, arrays: Any) -> Any:
    while True:
        pass


def beat_on(given: Any, arrays: Any) -> Any:
    for k in range(6):
        inside.beat(f"file {k}")
        time.sleep(0.4)
    if given.get("then_wait"):
        time.sleep(1000)
    return "done", {}


def fill(given: Any, arrays: Any) -> Any:
    inside.limit_memory(200 * 2**20)
    return float(np.ones(10**8).sum()), {}


def refuse(given: Any, arrays: Any) -> Any:
    raise InputError("not right", where="f.tif", value=(1, 2), allowed="one", remedy="Do it again")


def complain(given: Any, arrays: Any) -> Any:
    raise ConfigError("2 problems", where="c.yaml", problems=["first", "second"])


def break_down(given: Any, arrays: Any) -> Any:
    raise KeyError("x")


def interrupt(given: Any, arrays: Any) -> Any:
    raise KeyboardInterrupt


def talk(given: Any, arrays: Any) -> Any:
    sys.stdout.write("x" * 1_000_000)
    os.write(1, b"y" * 1_000_000)
    return "heard", {}


_remembered: list[Any] = []


def remember(given: Any, arrays: Any) -> Any:
    _remembered.append(given["what"])
    return None, {}


def recall(given: Any, arrays: Any) -> Any:
    return _remembered, {}


def command(given: Any, arrays: Any) -> Any:
    return Path("/proc/self/cmdline").read_bytes().decode().split("\0"), {}
