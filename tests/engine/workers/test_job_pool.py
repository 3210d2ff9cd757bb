"""Wanted workers held against what a queue shows; the queue and the scheduler here are told what to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import toy

from stemdask.config import clusters as kinds
from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.engine.block import Ack
from stemdask.engine.dispatch import Job
from stemdask.engine.queues.jobs import NoAnswer
from stemdask.engine.queues.queue import JobView, State
from stemdask.engine.queues.script import WorkerScript
from stemdask.engine.queues.slurm import QUEUE
from stemdask.engine.workers.job_pool import BROKEN, GRACE, JobPool
from stemdask.errors import ClusterError, ConfigError
from stemdask.model import Block


class FakeQueue:
    """A queue that takes everything."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobView] = {}
        self.scripts: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.answers = True

    def submit(self, script: str, name: str) -> str:
        if not self.answers:
            raise NoAnswer("sbatch gave no job")
        number = str(len(self.scripts) + 1)
        self.jobs[number] = JobView(number, name, State.PENDING, "PENDING", "Priority")
        self.scripts[number] = script
        return number

    def look(self) -> list[JobView] | None:
        return list(self.jobs.values()) if self.answers else None

    def cancel(self, ids: Iterable[str]) -> None:
        for number in ids:
            self.cancelled.append(number)
            self.becomes(number, State.TAKEN)

    def sweep(self, family: str) -> int:
        return 0

    def test(self, script: str) -> None:
        return

    def becomes(self, number: str, state: State, **more: Any) -> None:
        self.jobs[number] = dataclasses.replace(self.jobs[number], state=state, word=state.name, **more)


@dataclasses.dataclass(eq=False)
class Future:
    """A block that is done."""

    ack: Ack

    def result(self, timeout: float) -> Ack:
        return self.ack


class Pool(JobPool):
    """A pool whose scheduler is a list of workers."""

    def __init__(self, store: Path, queue: FakeQueue, workers: int, **config: Any) -> None:
        job = Job(str(store), 3, True, 2 * 2**30, lambda: False)
        settings = kinds.Slurm(kind="slurm", workers=config.pop("wanted", workers), poll_seconds=300, **config)
        super().__init__(job, settings, workers, queue)
        self.directory = store.with_suffix(".stemdask") / "jobs"
        self.directory.mkdir(parents=True)
        self._script = WorkerScript(
            QUEUE, "#!/bin/bash\n#SBATCH -n 1\nrun --name dummy-name\n", self.directory, settings.walltime, 2**30, {}
        )
        self._cluster = SimpleNamespace(scheduler=SimpleNamespace(workers={}))
        self.queue = queue

    def look(self) -> str:
        return self.compare(dict(self.queue.jobs))

    def holds(self, n: int) -> None:
        """Have this many blocks in flight."""
        self._blocks = {index: Block(index, index, index + 1) for index in range(n)}

    def receive(self, future: Any, index: int) -> None:
        """Have a block come back."""
        self._blocks = {future: Block(index, index, index + 1)}
        assert [done.block.index for done in self._taken(future)] == [index]

    def comes(self, number: str, *, busy: bool = False) -> None:
        self.queue.becomes(number, State.RUNNING, reason="", seconds_left=3000.0)
        name = self.queue.jobs[number].name
        self._cluster.scheduler.workers[name] = SimpleNamespace(name=name, processing=["block"] if busy else [])

    def goes(self, number: str, state: State) -> None:
        self.queue.becomes(number, state, node="node2")
        self._cluster.scheduler.workers.pop(self.queue.jobs[number].name, None)


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def pool(tmp_path: Path, queue: FakeQueue) -> Pool:
    pool = Pool(tmp_path / "a.zarr", queue, 2)
    pool.look()
    return pool


def test_each_wanted_worker_gets_one_job_and_what_waits_is_said(pool: Pool, queue: FakeQueue) -> None:
    assert [*queue.jobs] == ["1", "2"]
    assert pool.look() == "2 jobs pending: Priority"
    assert len(queue.jobs) == 2
    names = {job.name for job in queue.jobs.values()}
    assert len(names) == 2
    assert all(f"--name {name}\n" in queue.scripts[number] for number, name in zip("12", sorted(names), strict=True))


@pytest.mark.parametrize("state", [State.OVER, State.TAKEN, State.OUT_OF_MEMORY])
def test_a_job_that_is_over_is_replaced_by_one_of_another_name(pool: Pool, queue: FakeQueue, state: State) -> None:
    pool.comes("1")
    pool.look()
    pool.goes("1", state)
    pool.look()
    assert [*queue.jobs] == ["1", "2", "3"]
    assert queue.jobs["3"].name not in (queue.jobs["1"].name, queue.jobs["2"].name)
    assert queue.cancelled == []


def test_jobs_that_others_cancel_in_the_queue_are_replaced_for_as_long_as_it_takes(
    pool: Pool, queue: FakeQueue
) -> None:
    for _ in range(2 * BROKEN):
        latest = [*queue.jobs][-1]
        queue.becomes(latest, State.TAKEN)
        pool.look()
    assert len(queue.jobs) == 2 + 2 * BROKEN


def test_a_job_that_the_queue_has_not_listed_yet_is_not_handed_in_again(pool: Pool, queue: FakeQueue) -> None:
    pool.compare({})
    assert len(queue.jobs) == 2


def test_a_job_that_the_queue_has_forgotten_is_replaced(pool: Pool, queue: FakeQueue) -> None:
    pool.comes("1")
    pool.look()
    del queue.jobs["1"]
    for slot in pool._slots:
        slot.submitted = -float("inf")  # long ago
    pool.look()
    assert [*queue.jobs] == ["2", "3"]
    assert queue.jobs["3"].name.endswith("0-2"), "slot 0, attempt 2"


def test_jobs_that_end_before_their_worker_came_end_the_run_with_what_the_last_one_said(
    pool: Pool, queue: FakeQueue
) -> None:
    for number in "23":
        (pool.directory / f"{number}.log").write_text("one\ntwo\nModuleNotFoundError: no stemdask\n")
        queue.becomes(number, State.OVER)
        pool.look()
    queue.becomes("4", State.OVER)
    (pool.directory / "4.log").write_text("No module named stemdask\n")
    with pytest.raises(
        ClusterError, match=r"3 jobs ended before their worker came.*No module named stemdask"
    ) as caught:
        pool.look()
    assert str(caught.value.where).endswith("a.stemdask/jobs/4.log")


def test_a_job_out_of_memory_gets_half_as_much_on_top_once(pool: Pool, queue: FakeQueue) -> None:
    pool.comes("1")
    pool.look()
    pool.goes("1", State.OUT_OF_MEMORY)
    pool.look()
    assert "#SBATCH --mem=1536M" in queue.scripts["3"]
    assert "--mem" not in queue.scripts["2"]
    pool.comes("3")
    pool.look()
    pool.goes("3", State.OUT_OF_MEMORY)
    with pytest.raises(ClusterError, match=r"had too little memory, though it got 1\.5 times as much"):
        pool.look()


def test_a_replacement_is_handed_in_before_the_walltime_ends(pool: Pool, queue: FakeQueue) -> None:
    pool.comes("1", busy=True)
    pool.comes("2", busy=True)
    queue.becomes("1", State.RUNNING, seconds_left=181.0)
    pool.look()
    assert len(queue.jobs) == 2
    queue.becomes("1", State.RUNNING, seconds_left=179.0)
    pool.look()
    pool.look()
    assert [*queue.jobs] == ["1", "2", "3"]
    assert queue.cancelled == [], "the old one ends its block"
    pool.goes("1", State.OVER)
    pool.look()
    assert len(queue.jobs) == 3


def test_workers_follow_the_work_between_the_least_and_the_most(tmp_path: Path, queue: FakeQueue) -> None:
    pool = Pool(tmp_path / "a.zarr", queue, 4, wanted={"min": 1, "max": 4})
    pool.holds(12)
    pool.look()
    assert len(queue.jobs) == 4
    pool.comes("1")
    pool.comes("2", busy=True)
    pool.comes("3")
    pool.holds(2)
    pool.look()
    assert sorted(queue.cancelled) == ["1", "3"], "the idle ones, and no more than the work allows"
    pool.holds(0)
    pool.look()
    assert sorted(queue.cancelled) == ["1", "3", "4"]
    pool.look()
    assert len(queue.jobs) == 4, "the least is there"


def test_a_job_of_an_unanswered_submission_is_ended(pool: Pool, queue: FakeQueue) -> None:
    queue.jobs["99"] = JobView("99", queue.jobs["1"].name, State.RUNNING)
    pool.look()
    assert queue.cancelled == ["99"]
    pool.look()
    assert queue.cancelled == ["99"]


def test_a_controller_that_is_away_costs_no_job_and_does_not_end_the_run(pool: Pool, queue: FakeQueue) -> None:
    pool.comes("1")
    pool.comes("2")
    pool.look()
    queue.answers = False
    pool._compared = -float("inf")
    pool.supervise()
    assert "controller doesn't answer" in pool.why_none()
    pool.goes("2", State.TAKEN)
    with pytest.raises(NoAnswer):
        pool.look()
    queue.answers = True
    pool._compared = -float("inf")
    pool.supervise()
    assert [*queue.jobs] == ["1", "2", "3"]
    assert queue.cancelled == []


def test_a_block_that_takes_too_long_for_the_walltime_is_said_once(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    for index, seconds in enumerate((1700.0, 1720.0, 1730.0)):  # an hour, less 90 s twice, has room for two of 1710 s
        ack = Ack(index, {}, seconds)
        future = Future(ack)
        pool.receive(future, index)
    said = [record.getMessage() for record in caplog.records if "walltime" in record.getMessage()]
    assert len(said) == 1
    assert "block 1 took 1720 s" in said[0]


def test_a_job_that_can_never_start_ends_the_run_after_some_looks(pool: Pool, queue: FakeQueue) -> None:
    queue.becomes("1", State.PENDING, reason="PartitionDown")
    for _ in range(GRACE):
        pool.look()
    with pytest.raises(ClusterError, match="job 1 can never start: PartitionDown"):
        pool.look()


@pytest.mark.parametrize("kind", ["slurm", "allocation"])
def test_a_part_of_a_run_hands_in_no_jobs(tmp_path: Path, kind: str) -> None:
    """Two drivers of one store would end each other's jobs."""
    frames = toy.write_frames(tmp_path / "frames.npy", 8)
    with pytest.raises(ConfigError, match="done by the process that is started for it"):
        engine.execute(Document(toy.config(frames, tmp_path / "o.zarr", kind)), blocks="0:1")
    assert not (tmp_path / "o.stemdask").exists()
