"""Whichever call to the system fails, nothing is torn, no frame is blamed, and the same command ends the work."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.errors import StemdaskError, StorageError
from stemdask.model import FrameStatus
from stemdask.results import reader
from stemdask.store import disk

HERE = {"isolate": False}


class _Nth:
    """Fails the n-th call of some functions that write, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int, number: int, below: Path) -> None:
        self.n, self.number, self.count, self.below = n, number, 0, str(below)
        monkeypatch.setattr(os, "fsync", self._failing(os.fsync, lambda *_: True))
        monkeypatch.setattr(os, "replace", self._failing(os.replace, self._is_ours))
        monkeypatch.setattr(os, "rename", self._failing(os.rename, self._is_ours))
        monkeypatch.setattr(os, "mkdir", self._failing(os.mkdir, self._is_ours))
        monkeypatch.setattr(io, "open", self._failing(io.open, self._writes))
        monkeypatch.setattr(builtins, "open", self._failing(builtins.open, self._writes))

    def _is_ours(self, path: Any, *rest: Any, **options: Any) -> bool:
        return str(path).startswith(self.below)

    def _writes(self, path: Any, mode: str = "r", *rest: Any, **options: Any) -> bool:
        return self._is_ours(path) and any(letter in mode for letter in "wax+")

    def _failing(self, call: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
        def failing(*arguments: Any, **options: Any) -> Any:
            if counts(*arguments, **options):
                self.count += 1
                if self.count == self.n:
                    raise OSError(self.number, os.strerror(self.number), str(arguments[0]))
            return call(*arguments, **options)

        return failing


def _campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: int
) -> tuple[int, list[StemdaskError]]:
    frames = toy.write_frames(tmp_path / "f.npy", 6, {3: "refuse"})
    undisturbed = toy.contents(execute(Document(toy.config(frames, tmp_path / "u.zarr", limits=HERE))).store)
    n = fired = 0
    refusals: list[StemdaskError] = []
    while True:
        n += step
        store = tmp_path / f"o{n}" / "o.zarr"
        store.parent.mkdir()
        data = toy.config(frames, store, limits=HERE)
        with monkeypatch.context() as patch:
            patch.setattr(disk.time, "sleep", lambda seconds: None)
            nth = _Nth(patch, n, number, store.parent)
            try:
                execute(Document(data))
            except StemdaskError as error:
                refusals.append(error)
        if nth.count < n:
            return fired, refusals
        fired += 1
        outcome = execute(Document(data))
        assert outcome.complete
        assert outcome.counts[FrameStatus.FAILED] == 1
        assert toy.contents(store) == undisturbed, n
        assert reader.verify(store).sound
        assert not list(store.rglob("*.partial"))


@pytest.mark.parametrize(
    ("number", "step"),
    [
        pytest.param(errno.ENOSPC, 9, marks=pytest.mark.long),
        pytest.param(errno.EIO, 11, marks=pytest.mark.long),
        *(
            pytest.param(number, 1, marks=pytest.mark.slow)
            for number in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EINTR, errno.EDQUOT)
        ),
    ],
)
def test_the_nth_call_that_fails_is_a_sentence_and_the_same_command_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    step: int,
    record_property: Callable[[str, object], None],
) -> None:
    fired, refusals = _campaign(tmp_path, monkeypatch, number, step)
    told = f"every {step}. call" if step > 1 else "every call"
    record_property(
        "figure", f"{errno.errorcode[number]} at {told}: {fired} failed, {len(refusals)} runs refused, all continued"
    )
    assert fired > 10
    assert all(os.strerror(number) in str(error) for error in refusals)
    assert all(error.exit_code == 74 for error in refusals if isinstance(error, StorageError))
    assert refusals or number in disk.PASSING
