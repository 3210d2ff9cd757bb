"""How long what comes once after all frames will take, from some stacks of the frames tried."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy
from fixtures import toys as toys

from stemdask.config.document import Document
from stemdask.planning.plan import draw
from stemdask.planning.rehearsal import expected, seconds_after
from stemdask.planning.resolve import resolve
from stemdask.planning.survey import survey


def test_what_is_loaded_once_is_counted_once() -> None:
    assert expected([4, 4], [3.0, 1.0], 4) == pytest.approx(3.0)


def test_time_goes_on_as_between_the_last_two_stacks() -> None:
    assert expected([4, 4, 8, 16], [1.0, 1.0, 1.5, 2.5], 116) == pytest.approx(2.5 + 100 * 0.125)


def test_a_sample_that_is_full_takes_no_more_time() -> None:
    assert expected([4, 4, 8, 16], [2.0, 2.0, 4.0, 4.0], 1000) == pytest.approx(4.0)


def test_a_longer_stack_is_not_expected_to_take_less() -> None:
    assert expected([4, 4, 8], [1.0, 1.0, 0.9], 1000) == pytest.approx(0.9)


def _said(tmp_path: Path, n_frames: int, **params: object) -> float:
    frames = toy.write_frames(tmp_path / "frames.npy", n_frames)
    resolved = resolve(Document(toy.config(frames, tmp_path / "a.zarr", block_frames=1, params=params)))
    tried = survey(resolved)
    return seconds_after(resolved, draw(resolved, tried, tmp_path / "a.zarr"), tried)


@pytest.mark.processes
def test_time_after_grows_with_the_frames(toys: None, tmp_path: Path) -> None:
    """The toy sleeps in each block of one frame; 16 are enough to stop at."""
    assert _said(tmp_path, 60, once=0.07) == pytest.approx(60 * 0.07, rel=0.25)
    assert not list(tmp_path.glob("a*")), "nothing is written"


@pytest.mark.processes
def test_what_fails_on_the_frames_tried_takes_no_time(toys: None, tmp_path: Path) -> None:
    (tmp_path / "harm").write_text("segv")
    assert _said(tmp_path, 4, after=str(tmp_path / "harm")) == 0
