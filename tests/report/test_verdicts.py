"""What became of each frame: failures and doubts in words, and the frames that stand for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from stemdask.analyses.images.columns import gate
from stemdask.report import choice, verdicts
from stemdask.report.verdicts import Level, Verdict, Verdicts
from stemdask.results import reader
from stemdask.results.views import Results


@pytest.fixture
def tree(every_image_analysis: Path) -> xr.DataTree:
    return reader.open_results(every_image_analysis).load().copy(deep=True)


@pytest.mark.long
def test_a_good_run_is_good_in_words_and_numbers(tree: xr.DataTree) -> None:
    found = verdicts.judge(Results(tree))
    assert (found.level, found.sentence()) == ("good", "All 4 frames are good.")
    assert {verdict.reasons for verdict in found.frames} == {()}
    assert "bright columns" in found.frames[0].words[0]
    numbers = dict(zip(found.columns, found.frames[2].numbers, strict=True))
    assert numbers["measured / %"] == pytest.approx(100 * float(tree["frames/quality"][2]))
    assert numbers["time / s"] == pytest.approx(float(tree["frames/seconds"][2]))


@pytest.mark.long
def test_failures_and_doubts_say_why(tree: xr.DataTree) -> None:
    tree["frames/frame_status"].values[1] = 2
    tree["frames/error"].values[1] = "the image is blank"
    tree["frames/quality_reasons"].values[3] = gate.MISFIT + gate.SCALE
    found = verdicts.judge(Results(tree))
    assert [verdict.level for verdict in found.frames] == ["good", "failed", "good", "doubtful"]
    assert found.frames[1].reasons == ("the image is blank",)
    assert found.frames[1].words == ()
    assert found.frames[3].reasons == (gate.DOUBTS[gate.MISFIT], gate.DOUBTS[gate.SCALE])
    assert found.level == "doubtful"
    assert found.sentence() == "2 of 4 frames are good, 1 doubtful, 1 failed."


@pytest.mark.long
def test_of_many_frames_numbers_are_told_alone(tree: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "TOLD", 3)
    assert {verdict.words for verdict in verdicts.judge(Results(tree)).frames} == {()}


def run_of(numbers: Sequence[float], levels: Sequence[Level] | None = None) -> Verdicts:
    """A run whose frames have one number each, and the seconds that they took."""
    of = levels or ["good"] * len(numbers)
    rows = [Verdict(k, level, (), (), "", (x, 9.0 * k)) for k, (x, level) in enumerate(zip(numbers, of, strict=True))]
    return Verdicts(tuple(rows), ("number", "time / s"))


def test_the_typical_frame_is_the_one_in_the_middle() -> None:
    chosen = choice.choose(run_of([1.0, 2.0, 3.1, 4.0, 50.0]), 2)
    assert dict(chosen) == {2: "typical", 4: "least typical"}
    assert choice.typical_of(chosen) == 2


def test_a_doubtful_frame_is_shown_and_is_not_typical() -> None:
    chosen = choice.choose(run_of([1.0, 2.0, 3.0, 4.0, 5.0], ["good", "good", "doubtful", "failed", "good"]))
    assert chosen[2] == "doubtful"
    assert 3 not in chosen
    assert choice.typical_of(chosen) == 1


def test_frames_on_both_sides_of_a_step_are_shown() -> None:
    rng = np.random.default_rng(3)
    numbers = np.where(np.arange(200) < 137, 0.0, 8.0) + rng.normal(0, 0.5, 200)
    chosen = choice.choose(run_of(numbers.tolist()))
    assert [frame for frame, why in chosen.items() if why == "where it changes"] == [136, 137]
    assert list(chosen) == sorted(chosen)
    assert {0, 199} <= set(chosen)


def test_noise_alone_has_no_change() -> None:
    chosen = choice.choose(run_of(np.random.default_rng(1).normal(0, 1, 300).tolist()))
    assert "where it changes" not in chosen.values()
    assert len(chosen) == choice.MOST


def test_frames_that_are_all_alike_or_without_numbers_are_chosen_evenly() -> None:
    assert len(choice.choose(run_of([5.0] * 30))) == choice.MOST
    assert len(choice.choose(run_of([np.nan] * 30))) == choice.MOST


def test_of_failed_frames_none_is_chosen() -> None:
    assert choice.choose(run_of([1.0, 2.0], ["failed", "pending"])) == {}
