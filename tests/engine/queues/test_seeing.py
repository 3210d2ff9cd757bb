"""What is said of a run to whoever asks, from what its driver wrote and from its lock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stemdask.engine.queues import seeing
from stemdask.engine.queues.jobs import Jobs
from stemdask.engine.queues.queue import JobView, Queue, State
from stemdask.engine.workers import usage
from stemdask.store import lock


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "a.stemdask").mkdir()
    return tmp_path / "a.zarr"


def _row(slot: int, job: str = "", word: str = "", **more: Any) -> dict[str, Any]:
    state = {"RUNNING": State.RUNNING, "PENDING": State.PENDING}.get(word, State.OTHER)
    silent = {"reason": "", "node": "", "starts": "", "why": "", "present": True, "attempt": 1}
    return {"slot": slot, "job": job, "word": word, "state": state.name} | silent | more


def test_the_jobs_of_a_driver_at_work_are_shown_with_what_the_queue_says(store: Path) -> None:
    rows = [
        _row(0, "7", "RUNNING", node="node3"),
        _row(1, "8", "RUNNING", node="node4", present=False),
        _row(2, "9", "PENDING", reason="Priority", starts="2026-11-27T10:00:00"),
        _row(3, "10", "PENDING", attempt=2, why="NODE_FAIL on node5"),
        _row(4),
    ]
    seeing.write_jobs(store, rows, "SLURM refused the job", store.parent)
    assert seeing.lines(store) == [], "nothing is running"
    with lock.driving(store.with_suffix(".stemdask")):
        driver, *jobs, trouble = seeing.lines(store)
        assert seeing.waits(store)
    assert driver.startswith("  driver: running, process ")
    assert jobs == [
        "  worker 0: job 7 running on node3",
        "  worker 1: job 8 running on node4, its worker has not connected yet",
        "  worker 2: job 9 pending (Priority) expected to start 2026-11-27T10:00:00",
        "  worker 3: job 10 pending; attempt 2, replaced: NODE_FAIL on node5",
        "  worker 4: has no job",
    ]
    assert trouble == "  last problem: SLURM refused the job"
    assert not seeing.waits(store)


@pytest.mark.parametrize(
    ("state", "line", "waits"),
    [
        (State.PENDING, "  driver: job 5 pending (Resources) expected to start noon", True),
        (State.OVER, "  driver: not running; its job 5 is OVER", False),
    ],
)
def test_a_driver_in_the_queue_is_shown_before_it_has_started(
    store: Path, monkeypatch: pytest.MonkeyPatch, state: State, line: str, waits: bool
) -> None:
    word, reason = state.name, "Resources"
    monkeypatch.setattr(Queue, "missing", lambda self: [])
    monkeypatch.setattr(Jobs, "look", lambda self: [JobView("5", "name", state, word, reason, starts="noon")])
    seeing.write_submitted(store, "slurm", "5", "name")
    assert seeing.lines(store) == [line]
    assert seeing.waits(store) is waits


def test_looking_at_a_lock_keeps_no_driver_from_starting(store: Path) -> None:
    directory = store.with_suffix(".stemdask")
    (directory / "lock").touch()
    assert lock.holder(directory) is None
    with lock.driving(directory):
        assert lock.holder(directory) is not None
        assert lock.holder(directory) is not None


def test_drivers_that_share_a_store_are_seen_at_work(store: Path) -> None:
    """The parts of an array, each of which keeps the others from nothing."""
    directory = store.with_suffix(".stemdask")
    assert lock.is_free(directory)
    with lock.driving(directory, shared=True), lock.driving(directory, shared=True):
        assert lock.holder(directory) is not None
        assert not lock.is_free(directory)
    assert lock.is_free(directory)


def test_a_lock_that_may_not_be_looked_at_is_not_called_free(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *how: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    assert not lock.is_free(store.with_suffix(".stemdask"))
    assert lock.holder(store.with_suffix(".stemdask")) is None


def test_what_was_used_is_said_with_what_would_have_been_enough(tmp_path: Path) -> None:
    file = tmp_path / "told"
    file.write_text(
        '{"job": "a", "begun": 100.0, "ended": 3700.0, "cpu": 1800.0, "memory": 536870912}\n'
        '{"job": "b", "begun": 200.0, "ended": 3800.0, "cpu": 3600.0, "memory": 1073741824}\n{"job": "c'
    )
    used = usage.read(file)
    assert len(used) == 2
    said = usage.sentence(used, usage.Asked(4 * 2**30, 1, 1, [60.0, 20.0]))
    assert said == (
        "used: 2 workers, 2 core hours, 75 % of the processors, 1 GiB of 4 GiB a job, waited 40 s for a worker on "
        "average; next time: memory: 1536 MiB, cores: 1"
    )
