"""What comes once after is behind the fence too: when it goes down, it is named, and the frames are kept."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import toy

from stemdask.config.document import Document
from stemdask.engine.run import Outcome, execute
from stemdask.errors import StemdaskError
from stemdask.model import FrameStatus
from stemdask.results import reader
from stemdask.store import layout

pytestmark = pytest.mark.processes


def _run(folder: Path, isolate: bool = True, **how: Any) -> Outcome:
    limits = {"isolate": isolate, "frame_memory": "400 MiB"}
    params = {"after": str(folder / "harm")}
    return execute(Document(toy.config(folder / "f.npy", folder / "o.zarr", params=params, limits=limits)), **how)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    toy.write_frames(tmp_path / "f.npy", 10, {3: "refuse"})
    return tmp_path


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("segv", "its process was ended by SIGSEGV"),
        ("key", "KeyError: 'a key'"),
        pytest.param("exit", "its process exited with code 3", marks=pytest.mark.slow),
        pytest.param("kill", "its process was ended by SIGKILL", marks=pytest.mark.slow),
        pytest.param("recursion", "RecursionError", marks=pytest.mark.slow),
        pytest.param("system_exit", "SystemExit", marks=pytest.mark.slow),
    ],
)
def test_an_end_that_goes_down_is_named_and_tried_alone_by_the_next_run(folder: Path, harm: str, reason: str) -> None:
    (folder / "harm").write_text(harm)
    with pytest.raises(
        StemdaskError, match=f"'toy' failed over all frames: {reason}.*run again to repeat only this step"
    ):
        _run(folder)
    status = reader.status(folder / "o.zarr")
    assert (status.state, status.counts[FrameStatus.OK]) == ("partial", 9)
    (folder / "harm").unlink()
    outcome = _run(folder)
    assert (outcome.fresh, outcome.complete) == (0, True)
    assert reader.verify(outcome.store).sound


def test_what_is_done_once_after_is_not_done_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _run(folder, isolate=False).store
    layout.set_state(store, "partial", "a later analysis failed")

    def never(stack: Any, params: Any) -> None:
        raise AssertionError("it was done already")

    with monkeypatch.context() as patch:
        patch.setattr(toy, "ANALYSIS", dataclasses.replace(toy.ANALYSIS, finish=never))
        assert _run(folder, isolate=False).complete
        assert _run(folder, isolate=False, retry="failed").complete  # the frame fails as before: nothing else is read
        layout.set_state(store, "partial", "of other frames", finished={"toy": {"made_of": "others", "attributes": {}}})
        with pytest.raises(StemdaskError, match="it was done already"):
            _run(folder, isolate=False)


@pytest.mark.slow
def test_a_run_that_is_stopped_while_it_ends_is_partial_and_goes_on(folder: Path) -> None:
    (folder / "harm").write_text("gil")
    params = {"after": str(folder / "harm")}
    driver = toy.drive(toy.config(folder / "f.npy", folder / "o.zarr", params=params))
    toy.wait_until(lambda: toy.blocks_done(folder / "o.zarr") == 3)
    os.kill(driver.pid, signal.SIGTERM)
    assert driver.wait(120) == 75
    (folder / "harm").unlink()
    assert _run(folder).complete
