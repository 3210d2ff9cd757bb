"""A bad frame harms only itself."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import toy

from stemdask.config.document import Document
from stemdask.engine.run import Outcome, execute
from stemdask.errors import InputError
from stemdask.model import FrameStatus
from stemdask.results import reader

pytestmark = pytest.mark.processes

LIMITS = {"isolate": True, "frame_seconds": 6.0, "frame_memory": "400 MiB", "max_failed": 1}


def _run(frames: Path, output: Path, **more: Any) -> Outcome:
    more.setdefault("limits", LIMITS)
    return execute(Document(toy.config(frames, output, **more)))


def _bad(store: Path) -> dict[int, str]:
    return {row[0]: row[3] for row in reader.status(store).bad}


REASONS = {
    "segv": "its process was ended by SIGSEGV",
    "abort": "its process was ended by SIGABRT",
    "exit": "its process exited with code 3",
    "memory": "MemoryError: Unable to allocate 128. MiB for an array",
    "loop": "took longer than 6 s",
    "gil": "took longer than 6 s",
    "system_exit": "SystemExit:",
    "recursion": "RecursionError: maximum recursion depth exceeded",
    "key": "KeyError: 'a key'",
    "kill": "its process was killed twice (SIGKILL: out of memory?)",
}


@pytest.mark.slow
def test_each_way_to_go_down_is_one_status_with_its_reason(tmp_path: Path) -> None:
    harms = dict(zip(range(1, 22, 2), [*REASONS, "print"], strict=True))
    outcome = _run(toy.write_frames(tmp_path / "f.npy", 24, harms), tmp_path / "o.zarr")
    bad = _bad(outcome.store)
    assert sorted(bad) == [index for index, harm in harms.items() if harm != "print"]
    for index, reason in bad.items():
        assert reason.startswith(REASONS[harms[index]])
    assert outcome.counts[FrameStatus.OK] == 24 - 10
    assert reader.verify(outcome.store).sound


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_bad_frames_beside_each_other_cost_no_good_one(tmp_path: Path, kind: str) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 20, {5: "segv", 6: "exit", 13: "abort"})
    outcome = _run(frames, tmp_path / "o.zarr", cluster=kind)
    assert sorted(_bad(outcome.store)) == [5, 6, 13]
    assert outcome.counts[FrameStatus.OK] == 17
    here = _run(frames, tmp_path / "inline.zarr")
    assert toy.contents(outcome.store) == toy.contents(here.store)


@pytest.mark.parametrize(
    "harms",
    [
        {0: "segv", 10: "exit", 20: "key", 5: "memory", 15: "system_exit"},
        pytest.param(  # the first frames have two minutes to compile in
            {0: "loop", 10: "gil", 20: "kill", 5: "abort", 15: "recursion"},
            marks=[pytest.mark.slow, pytest.mark.timeout(900)],
        ),
    ],
    ids=["crashes", "hangs"],
)
def test_bad_frames_among_those_that_are_tried_at_planning_cost_no_good_one(
    tmp_path: Path, harms: dict[int, str]
) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 21, harms)
    outcome = _run(frames, tmp_path / "o.zarr")
    bad = _bad(outcome.store)
    assert sorted(bad) == sorted(harms)
    assert all(bad[index].startswith(REASONS[harm]) for index, harm in harms.items())
    assert outcome.counts[FrameStatus.OK] == 16


def test_frames_that_are_all_bad_are_said_before_anything_is_written(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 3, dict.fromkeys(range(3), "segv"))
    with pytest.raises(InputError, match=r"none of the frames tried could be analysed.*SIGSEGV"):
        _run(frames, tmp_path / "o.zarr")
    assert not (tmp_path / "o.zarr").exists()


def test_a_helper_that_is_killed_from_outside_costs_no_frame(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 20)
    store = tmp_path / "o.zarr"
    undisturbed = _run(frames, tmp_path / "undisturbed.zarr")
    killed = []

    def kill_one_helper() -> None:
        toy.wait_until(lambda: toy.blocks_done(store) >= 2)
        # A test worker may have other children: what watches the semaphores of processes, for one.
        killed.extend(one for one in psutil.Process().children() if "stemdask.fence.child" in " ".join(one.cmdline()))
        os.kill(killed[0].pid, signal.SIGKILL)
        toy.go_on(store)

    thread = threading.Thread(target=kill_one_helper)
    thread.start()
    outcome = _run(frames, store, params=toy.pausing(store), limits=LIMITS | {"frame_seconds": 300.0})
    thread.join()
    assert killed
    assert toy.contents(outcome.store) == toy.contents(undisturbed.store)


@pytest.mark.slow
def test_without_isolation_the_frame_that_takes_its_worker_along_is_found_all_the_same(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 20, {5: "segv"})
    limits = LIMITS | {"isolate": False}
    outcome = _run(frames, tmp_path / "o.zarr", cluster="processes", limits=limits)
    assert _bad(outcome.store) == {5: REASONS["segv"]}
    assert outcome.counts[FrameStatus.OK] == 19


@pytest.mark.slow
def test_of_two_thousand_frames_exactly_the_poisoned_ones_fail(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """5 % poison of ten kinds, also among the frames that are tried at planning."""
    kinds = [harm for harm in REASONS if harm != "refuse"][:10]
    n, n_poison = 2000, 100
    places = np.random.default_rng(4).choice(np.arange(1, n - 1), n_poison - 2, replace=False).tolist()
    harms = {index: kinds[k % len(kinds)] for k, index in enumerate([0, n - 1, *places])}
    limits = LIMITS | {"frame_seconds": 3.0}
    before = _cpu_seconds()
    good = _run(toy.write_frames(tmp_path / "good.npy", n), tmp_path / "good.zarr", block_frames=50, limits=limits)
    whole = _cpu_seconds() - before
    assert good.counts[FrameStatus.OK] == n
    before = _cpu_seconds()
    outcome = _run(toy.write_frames(tmp_path / "f.npy", n, harms), tmp_path / "o.zarr", block_frames=50, limits=limits)
    spent = _cpu_seconds() - before
    each = (spent - whole) / n_poison
    record_property("figure", f"{n_poison} poisoned of {n} failed, no other; {each:.2f} CPU-s each, loops included")
    assert each <= 1.0
    bad = {row[0]: row[3] for row in reader.status(outcome.store, named=n).bad}
    assert sorted(bad) == sorted(harms)
    assert all(bad[index].startswith(REASONS[harm].replace("6 s", "3 s")) for index, harm in harms.items())
    assert outcome.counts[FrameStatus.OK] == n - n_poison


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
