from __future__ import annotations

import dataclasses
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy

import stemdask as sd
from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.engine.progress import Progress
from stemdask.errors import Busy, ConfigError, InputError, StemdaskError, StoreError, TooManyFailures
from stemdask.model import FrameStatus
from stemdask.results import reader
from stemdask.store.layout import run_directory
from stemdask.store.lock import driving, read_epoch

HERE = {"isolate": False}
BAD = {5: "refuse", 9: "raise", 14: "empty"}


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    return toy.write_frames(tmp_path / "f.npy", 22, BAD)


def _execute(frames: Path, output: Path, how: dict[str, Any] | None = None, **more: Any) -> engine.Outcome:
    more.setdefault("limits", HERE)
    return engine.execute(Document(toy.config(frames, output, **more)), **(how or {}))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    frames = toy.write_frames(folder / "f.npy", 22, BAD)
    found = toy.contents(_execute(frames, folder / "out.zarr").store)
    return {key: value for key, value in found.items() if not key.startswith("frames/file")}


def _same(store: Path) -> dict[str, bytes]:
    return {key: value for key, value in toy.contents(store).items() if not key.startswith("frames/file")}


@pytest.mark.parametrize(
    "isolate", [pytest.param(False, id="here"), pytest.param(True, id="isolated", marks=pytest.mark.processes)]
)
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["inline", "threads", pytest.param("processes", marks=pytest.mark.processes)])
def test_every_kind_and_number_of_workers_gives_the_same_bytes(
    frames: Path, tmp_path: Path, undisturbed: dict[str, bytes], kind: str, workers: int, isolate: bool
) -> None:
    cluster = {"kind": kind} if kind == "inline" else {"kind": kind, "workers": workers}
    outcome = _execute(frames, tmp_path / "o.zarr", cluster=cluster, limits={"isolate": isolate})
    assert _same(outcome.store) == undisturbed
    assert outcome.complete
    assert outcome.counts == {
        FrameStatus.PENDING: 0,
        FrameStatus.OK: 19,
        FrameStatus.FAILED: 2,
        FrameStatus.OVERFLOW: 0,
        FrameStatus.EMPTY: 1,
    }
    assert outcome.exit_code == 3


def test_the_reason_of_a_failure_is_one_line_without_addresses(frames: Path, tmp_path: Path) -> None:
    status = reader.status(_execute(frames, tmp_path / "o.zarr").store)
    assert [row[3] for row in status.bad] == [
        "the frame is too dark.",
        "ValueError: a bad frame <object object at 0x…>",
    ]


def test_a_complete_run_run_again_writes_nothing(frames: Path, tmp_path: Path) -> None:
    store = _execute(frames, tmp_path / "o.zarr").store
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    outcome = _execute(frames, store)
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before
    assert (outcome.fresh, outcome.complete) == (0, True)


def test_parts_done_apart_make_the_whole(frames: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    store = tmp_path / "o.zarr"
    assert _execute(frames, store, {"blocks": "2:4"}).state == "partial"
    assert _execute(frames, store, {"frames": "0:8"}).fresh == 8
    assert reader.status(store).counts[FrameStatus.PENDING] == 6
    outcome = _execute(frames, store)
    assert (outcome.fresh, outcome.complete) == (6, True)
    assert _same(store) == undisturbed


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"frames": "2:8"}, "multiples of 4, for example 0:8"),
        ({"frames": "4:30x"}, "not a part of the run"),
        ({"blocks": "9:12"}, "within 0:6"),
        ({"blocks": "0:1", "fresh": True}, "alone"),
        ({"retry": "all"}, "failed, overflow"),
    ],
)
def test_a_part_that_can_not_be_done_is_refused(frames: Path, tmp_path: Path, how: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        _execute(frames, tmp_path / "o.zarr", how)


def test_parts_share_the_lock_and_keep_whole_runs_out(frames: Path, tmp_path: Path) -> None:
    store = tmp_path / "o.zarr"
    _execute(frames, store, {"blocks": "0:1"})
    directory = tmp_path / "o.stemdask"
    with driving(directory, shared=True) as epoch:
        assert _execute(frames, store, {"blocks": "1:2"}).fresh == 4
        assert read_epoch(directory) == epoch
        with pytest.raises(Busy, match="another run"):
            _execute(frames, store)
    with driving(directory) as later:
        assert later == epoch + 1
        with pytest.raises(Busy):
            _execute(frames, store, {"blocks": "1:2"})


def test_failed_frames_are_tried_again_only_when_asked(frames: Path, tmp_path: Path) -> None:
    marker = tmp_path / "mended"
    store = _execute(frames, tmp_path / "o.zarr").store
    assert _execute(frames, store).fresh == 0
    assert not marker.exists()
    outcome = _execute(frames, store, {"retry": "failed"})
    assert outcome.fresh == 8
    assert outcome.counts[FrameStatus.FAILED] == 2


def test_a_frame_with_too_many_columns_overflows_and_gets_room_between_runs(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 22, {9: "many"})
    store = _execute(frames, tmp_path / "o.zarr").store
    tree = sd.open_results(store)
    assert tree["frames/frame_status"].values.tolist() == [1] * 9 + [3] + [1] * 12
    assert (
        tree["frames/error"].values[9]
        == f"500 columns, room for {tree.sizes.get('column') or tree['columns'].sizes['column']}"
    )
    assert int(tree["frames/n_columns"][9]) == 500
    assert np.isnan(tree["columns/y"][9]).all()
    before = tree["columns/y"].values
    outcome = _execute(frames, store, {"retry": "overflow"})
    assert (outcome.fresh, outcome.counts[FrameStatus.OK], outcome.complete) == (4, 22, True)
    tree = sd.open_results(store)
    assert tree["columns/y"].shape[1] >= 500
    assert np.isfinite(tree["columns/y"][9]).sum() == 500
    others = np.arange(22) != 9
    np.testing.assert_array_equal(tree["columns/y"].values[others, : before.shape[1]], before[others])
    assert reader.verify(store).sound
    assert _execute(frames, store).fresh == 0


def test_a_hopeless_run_stops_early_and_says_why(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 40, dict.fromkeys(range(2, 38), "refuse"))
    with pytest.raises(TooManyFailures, match=r"too dark.*max_failed 0.1") as caught:
        _execute(frames, tmp_path / "o.zarr", limits={"isolate": False, "max_failed": 0.1})
    assert caught.value.exit_code == 3
    status = reader.status(tmp_path / "o.zarr")
    assert status.state == "partial"
    assert status.counts[FrameStatus.PENDING] >= 28


def test_the_limits_of_a_continued_run_are_those_of_its_config(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 40, dict.fromkeys(range(2, 38), "refuse"))
    with pytest.raises(TooManyFailures):
        _execute(frames, tmp_path / "o.zarr", limits={"isolate": False, "max_failed": 0.1})
    outcome = _execute(frames, tmp_path / "o.zarr", limits={"isolate": False, "max_failed": 1})
    assert outcome.counts[FrameStatus.FAILED] == 36


def test_a_second_driver_is_refused_at_once(frames: Path, tmp_path: Path) -> None:
    directory = tmp_path / "o.stemdask"
    directory.mkdir()
    with driving(directory), pytest.raises(Busy, match=f"process {os.getpid()}") as caught:
        _execute(frames, tmp_path / "o.zarr")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "o.zarr").exists()


def test_an_unreadable_input_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        _execute(tmp_path / "none.npy", tmp_path / "o.zarr")
    assert list(tmp_path.iterdir()) == []


def test_an_analysis_that_breaks_its_declaration_ends_the_run(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _execute(frames, tmp_path / "o.zarr", {"blocks": "0:1"})
    whole = toy.run

    def careless(frame: Any, params: Any) -> Any:
        found = dict(whole(frame, params))
        found["toy/profile"] = found["toy/profile"][:2]
        return found

    broken = dataclasses.replace(toy.ANALYSIS, run=careless)
    monkeypatch.setattr(toy, "ANALYSIS", broken)
    with pytest.raises(StemdaskError, match=r"toy/profile: .*another length of 'bin'"):
        _execute(frames, tmp_path / "o.zarr")


def test_the_frames_that_failed_in_all_runs_of_a_store_are_counted(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 24, dict.fromkeys((0, 5, 9, 13, 17, 21), "refuse"))
    limits = {"isolate": False, "max_failed": 0.15}
    with pytest.raises(TooManyFailures, match="4 of 24 frames failed"):
        _execute(frames, tmp_path / "o.zarr", limits=limits)
    with pytest.raises(TooManyFailures, match="4 of 24 frames failed"):
        _execute(frames, tmp_path / "o.zarr", limits=limits)
    assert _execute(frames, tmp_path / "o.zarr", limits=limits | {"max_failed": 0.3}).complete


def test_a_refused_run_leaves_nothing_behind(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 3, dict.fromkeys(range(3), "refuse"))
    with pytest.raises(InputError, match="none of the frames"):
        _execute(frames, tmp_path / "new" / "folder" / "o.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.npy"]


@pytest.mark.parametrize("name", ["~nobody-here/o.zarr", "x" * 300 + ".zarr", "a\0b.zarr"])
def test_an_output_that_no_path_can_be_called_is_refused(frames: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="the output can't be written here") as caught:
        engine.execute(Document(toy.config(frames, tmp_path) | {"output": name}))
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 400


def test_what_fails_over_all_frames_is_tried_alone_when_run_again(
    frames: Path, tmp_path: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(stack: Any, params: Any) -> None:
        raise ZeroDivisionError("no frames")

    broken = dataclasses.replace(toy.ANALYSIS, finish=careless)
    with monkeypatch.context() as patch:
        patch.setattr(toy, "ANALYSIS", broken)
        with pytest.raises(StemdaskError, match="'toy' failed over all frames: ZeroDivisionError: no frames"):
            _execute(frames, tmp_path / "o.zarr")
    told = reader.status(tmp_path / "o.zarr").text().splitlines()
    assert told[1] == (
        "  'toy' failed over all frames; run the same command again, which repeats only what comes after the frames"
    )
    outcome = _execute(frames, tmp_path / "o.zarr")
    assert (outcome.fresh, outcome.complete) == (0, True)
    assert reader.status(outcome.store).event == ""
    assert _same(outcome.store) == undisturbed


def test_a_run_without_its_run_directory_is_continued(
    frames: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    store = tmp_path / "o.zarr"
    _execute(frames, store, {"blocks": "0:3"})
    (tmp_path / "o.stemdask").rename(tmp_path / "gone")
    _execute(frames, store)
    assert _same(store) == undisturbed


def test_progress_is_reported_from_the_first_to_the_last_frame(frames: Path, tmp_path: Path) -> None:
    reports: list[Progress] = []
    _execute(frames, tmp_path / "o.zarr", {"progress": reports.append})
    assert (reports[0].done, reports[0].note) == (0, "starting workers")
    assert (reports[-1].done, reports[-1].total, reports[-1].note) == (22, 22, "")
    assert [one.done for one in reports] == sorted(one.done for one in reports)
    assert reports[-1].counts[FrameStatus.FAILED] == 2


def test_what_a_run_takes_is_said_without_writing(frames: Path, tmp_path: Path) -> None:
    rows = dict(engine.plan(Document(toy.config(frames, tmp_path / "o.zarr"))))
    assert rows["blocks"] == "6 of 4 frames"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.npy"]


def test_a_plan_says_what_a_job_requests_and_short_times_in_seconds(frames: Path, tmp_path: Path) -> None:
    cluster = {"kind": "slurm", "workers": 4, "workers_per_job": 2}
    more = {"limits": {"frame_memory": "1 GiB"}}
    rows = dict(engine.plan(Document(toy.config(frames, tmp_path / "o.zarr", cluster, **more))))
    assert rows["job"] == "4 GiB, 2 cores"
    assert re.fullmatch(r"\d+ s with one worker", rows["time"])


def test_a_store_made_anew_in_the_same_process_follows_its_own_config(frames: Path, tmp_path: Path) -> None:
    for factor in (2.0, 3.0):
        outcome = _execute(frames, tmp_path / "o.zarr", analyses={"toy": {"factor": factor}})
        found = toy.contents(outcome.store)
        shutil.rmtree(outcome.store)
        shutil.rmtree(run_directory(outcome.store))
    fresh = toy.contents(_execute(frames, tmp_path / "fresh.zarr", analyses={"toy": {"factor": 3.0}}).store)
    assert found == fresh


def test_another_store_in_the_same_folder_is_written_by_its_own_layout(frames: Path, tmp_path: Path) -> None:
    store = _execute(frames, tmp_path / "out.zarr", block_frames=2).store
    other = _execute(frames, tmp_path / "other.zarr", block_frames=5).store
    for old, new in ((store, other), (run_directory(store), run_directory(other))):
        for item in old.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        shutil.copytree(new, old, dirs_exist_ok=True)
    outcome = _execute(frames, store, {"retry": "failed"}, block_frames=5)
    assert outcome.fresh == 5  # the block of frames 5 and 9
    assert reader.verify(store).sound
