"""Whichever call to the system fails, nothing is torn, no frame is blamed, and the same command ends the work."""

from __future__ import annotations

import builtins
import ctypes
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy
import verbs
from scenes import Scene, scenes

from stemdask.errors import StemdaskError
from stemdask.store import disk

pytestmark = pytest.mark.timeout(3600)


class _Nth:
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

    def call(self, what: object) -> None:
        """Count a call, and fail the n-th."""
        self.count += 1
        if self.count == self.n:
            raise OSError(self.number, os.strerror(self.number), str(what))

    def _synced(self, descriptor: int) -> int:
        try:
            self.call("syncfs")
        except OSError:
            ctypes.set_errno(self.number)
            return -1
        return 0

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

    def __init__(self, nth: _Nth, *given: Any) -> None:
        super().__init__(*given)
        self.nth = nth

    def write(self, data: Any) -> int:
        try:
            self.nth.call(self.name)
        except OSError:
            super().write(memoryview(data)[: len(data) // 2])
            raise
        return super().write(data)


def _campaign(scene: Scene, monkeypatch: pytest.MonkeyPatch, number: int, step: int) -> tuple[int, list[StemdaskError]]:
    scene.set_up()
    scene.do()
    undisturbed = scene.result()
    n = fired = 0
    refusals: list[StemdaskError] = []
    while True:
        n += step
        scene.set_up()
        with monkeypatch.context() as patch:
            patch.setattr(disk.time, "sleep", lambda seconds: None)
            nth = _Nth(patch, n, number, scene.place)
            try:
                assert verbs.VERBS[scene.verb](**scene.given) in scene.done
            except StemdaskError as error:
                refusals.append(error)
        if nth.count < n:
            return fired, refusals
        fired += 1
        scene.do()
        assert scene.result() == undisturbed, n
        assert not list(scene.place.rglob("*.partial"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    folder = tmp_path_factory.mktemp("writers")
    frames = toy.write_frames(folder / "f.npy", 12, {3: "refuse", 7: "many"})
    return scenes(folder, frames, {}, limits={"isolate": False})


@pytest.mark.parametrize(
    ("name", "number", "step"),
    [
        *(
            pytest.param(name, number, step, marks=pytest.mark.long)
            for name, number, step in (
                ("run", errno.ENOSPC, 61), ("run", errno.EIO, 97), ("extend", errno.ENOSPC, 97),
                ("grow", errno.EROFS, 149), ("repair", errno.EIO, 7),
                ("export", errno.ENOSPC, 7), ("report", errno.ENOSPC, 2), ("figures", errno.EIO, 3),
            )
        ),
        *(
            pytest.param(name, number, 1, marks=pytest.mark.slow)
            for name in ("run", "retry", "grow", "extend", "repair", "export", "report", "figures")
            for number in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EINTR, errno.EDQUOT)
        ),
    ],
)  # fmt: skip
def test_the_nth_call_that_fails_is_a_sentence_and_the_same_command_goes_on(
    made: dict[str, Scene],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    number: int,
    step: int,
    record_property: Callable[[str, object], None],
) -> None:
    fired, refusals = _campaign(made[name], monkeypatch, number, step)
    told = f"every {step}. call" if step > 1 else "every call"
    record_property(
        "figure", f"{errno.errorcode[number]} at {told}: {fired} failed, {len(refusals)} times refused, all continued"
    )
    assert fired
    assert all(os.strerror(number) in str(error) for error in refusals)
    assert {error.exit_code for error in refusals} <= {74}
    assert refusals or number in disk.PASSING
