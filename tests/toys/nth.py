"""Whatever changes files, counted, and the n-th call of it refused or the last thing that a process does."""

from __future__ import annotations

import builtins
import ctypes
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from stemdask.store import disk

#: In the place of an error number: Python finds no memory.
NO_MEMORY = 0
#: Frames of a stack that tell one place from another.
_DEEP = 40


class Nth:
    """Fails the n-th call of whatever changes files below a folder, once; of bytes, half are written before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int, number: int, below: Path) -> None:
        self.n, self.number, self.count, self.below = n, number, 0, str(below)
        monkeypatch.setattr(os, "fsync", self._failing(os.fsync, lambda *_: True))
        monkeypatch.setattr(disk, "_syncfs", self._synced)
        for name in ("link", "replace", "rename", "mkdir", "unlink", "remove", "rmdir", "chmod", "truncate"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name), self._is_ours))
        monkeypatch.setattr(os, "open", self._failing(os.open, self._creates))
        monkeypatch.setattr(io, "open", self._opening(io.open))
        monkeypatch.setattr(builtins, "open", self._opening(builtins.open))

    def call(self, what: object, before: Callable[[], object] = lambda: None) -> None:
        """Count a call, and fail the n-th after what is done `before`."""
        self.count += 1
        if self.count == self.n:
            before()
            if self.number == NO_MEMORY:
                raise MemoryError
            raise OSError(self.number, os.strerror(self.number), str(what))

    def _synced(self, descriptor: int) -> int:
        try:
            self.call("syncfs")
        except OSError:
            ctypes.set_errno(self.number)
            return -1
        return 0  # it takes no memory of Python's

    def _is_ours(self, path: Any, *rest: Any, dir_fd: int | None = None, **options: Any) -> bool:
        folder = f"{Path(f'/proc/self/fd/{dir_fd}').readlink()}/" if dir_fd is not None else ""
        return f"{folder}{path}".startswith(self.below)

    def _creates(self, path: Any, flags: int, *rest: Any, **options: Any) -> bool:
        return bool(flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)) and self._is_ours(path, **options)

    def _failing(self, call: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
        def failing(*arguments: Any, **options: Any) -> Any:
            if counts(*arguments, **options):
                self.call(arguments[0])
            return call(*arguments, **options)

        return failing

    def _opening(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: Any, mode: str = "r", buffering: int = -1, *text: Any, **options: Any) -> Any:
            if not (self._is_ours(file) and any(letter in mode for letter in "wax+")):
                return call(file, mode, buffering, *text, **options)
            self.call(file)
            raw = _Failing(self, file, "".join(letter for letter in mode if letter not in "bt"))
            if buffering == 0:
                return raw
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *text, **options)

        return opening


class _Failing(io.FileIO):
    """A file whose writing is counted."""

    def __init__(self, nth: Nth, *given: Any) -> None:
        super().__init__(*given)
        self.nth = nth

    def write(self, data: Any) -> int:
        # A write that was interrupted after some bytes says how many, and raises nothing.
        half = 0 if self.nth.number == errno.EINTR else len(data) // 2
        self.nth.call(self.name, lambda: io.FileIO.write(self, memoryview(data)[:half]))
        return super().write(data)


class Seen(Nth):
    """Fails nothing, and notes from which place in the code each call came, by the whole stack."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, below: Path) -> None:
        self.places: list[int] = []
        super().__init__(monkeypatch, 0, 0, below)

    def call(self, what: object, before: Callable[[], object] = lambda: None) -> None:
        """Count a call and note its place; event loops and pools in between are alike for all."""
        self.count += 1
        stack: list[tuple[str, int]] = []
        frame: FrameType | None = sys._getframe(1)
        while frame and len(stack) < _DEEP:
            if not any(part in frame.f_code.co_filename for part in ("asyncio", "threading", "concurrent")):
                stack.append((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        self.places.append(hash(tuple(stack)))


class DyingNth(Nth):
    """Kills this process at the n-th call; of bytes, half are written before."""

    def call(self, what: object, before: Callable[[], object] = lambda: None) -> None:
        """Count a call; at the n-th nothing comes after what is done `before`."""
        self.count += 1
        if self.count == self.n:
            before()
            os.kill(os.getpid(), signal.SIGKILL)
