"""Wanted workers held against what a queue shows and a scheduler hears; both are told here what to be."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stemdask.config.clusters import Batch
from stemdask.engine.clock import LONGEST, Clock
from stemdask.engine.queues.jobs import Full, NoAnswer
from stemdask.engine.queues.queue import JobView, State
from stemdask.engine.queues.script import WorkerScript
from stemdask.engine.queues.slurm import QUEUE
from stemdask.engine.workers.slots import BROKEN, FIRST_DELAY, GRACE, LONGEST_DELAY, UNSEEN, Slots, Worker
from stemdask.errors import ClusterError

POLL = 5.0


class FakeQueue:
    """A queue that takes everything, unless it is told to raise."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobView] = {}
        self.scripts: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.error: ClusterError | None = None
        self.most = 10**6
        """Jobs that it takes at a time."""
        self.asked: list[str] = []

    def submit(self, script: str, name: str) -> str:
        self.asked.append(name)
        if self.error is not None:
            raise self.error
        if sum(not job.over for job in self.jobs.values()) >= self.most:
            raise Full("SLURM accepts no more jobs", value="AssocMaxSubmitJobLimit")
        number = str(len(self.scripts) + 1)
        self.jobs[number] = JobView(number, name, State.PENDING, "PENDING", "Priority")
        self.scripts[number] = script
        return number

    def look(self) -> list[JobView] | None:
        return list(self.jobs.values())

    def cancel(self, ids: Iterable[str]) -> None:
        for number in ids:
            self.cancelled.append(number)
            self.becomes(number, State.TAKEN)

    def test(self, script: str) -> None:
        return

    def becomes(self, number: str, state: State, **more: Any) -> None:
        self.jobs[number] = dataclasses.replace(self.jobs[number], state=state, word=state.name, **more)


class Run:
    """Slots of a run, its scheduler's workers and its clock."""

    def __init__(self, folder: Path, queue: FakeQueue, n: int, **config: Any) -> None:
        self.queue, self.n = queue, n
        self.workers: dict[str, Worker] = {}
        self.dropped: list[str] = []
        self.time = 0.0
        self.clock = Clock(lambda: self.time)
        settings = Batch(kind="slurm", workers=n, poll_seconds=POLL, **config)
        base = "#!/bin/bash\n#SBATCH -n 1\nrun --name dummy-name\n"
        file = folder / "scheduler.json"
        script = WorkerScript(QUEUE, settings, base, file, folder, 2**30, {})
        self.slots = Slots(
            queue, script, QUEUE, tag="stemdask-a-3-", config=settings, n=n, clock=self.clock, drop=self._drop
        )

    def look(self, wanted: int | None = None) -> str:
        return self.slots.compare(dict(self.queue.jobs), [*self.workers.values()], self.n if wanted is None else wanted)

    def passes(self, seconds: float) -> None:
        """Let time pass in steps of an awake process, all workers being heard of."""
        for _ in range(round(seconds)):
            self.time += 1
            self.clock.tick()

    def comes(self, number: str, *, busy: bool = False, left: float = 3000.0) -> None:
        self.queue.becomes(number, State.RUNNING, reason="", seconds_left=left, node="node1")
        name = self.queue.jobs[number].name
        self.workers[name] = Worker(name, f"tls://{name}", self.time, busy)

    def beats(self, number: str) -> None:
        name = self.queue.jobs[number].name
        self.workers[name] = dataclasses.replace(self.workers[name], heard=self.time)

    def goes(self, number: str, state: State) -> None:
        self.queue.becomes(number, state, node="node2")
        self.workers.pop(self.queue.jobs[number].name, None)

    def _drop(self, address: str) -> None:
        self.dropped.append(address)
        self.workers = {name: one for name, one in self.workers.items() if one.address != address}


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def run(tmp_path: Path, queue: FakeQueue) -> Run:
    run = Run(tmp_path, queue, 2)
    run.look()
    return run


def test_each_wanted_worker_gets_one_job_and_what_waits_is_said(run: Run, queue: FakeQueue) -> None:
    assert [*queue.jobs] == ["1", "2"]
    assert run.look() == "2 jobs pending: Priority"
    assert len(queue.jobs) == 2
    names = {job.name for job in queue.jobs.values()}
    assert len(names) == 2
    assert all(f"--name {name}\n" in queue.scripts[number] for number, name in zip("12", sorted(names), strict=True))


@pytest.mark.parametrize("state", [State.OVER, State.TAKEN, State.OUT_OF_MEMORY])
def test_a_job_that_is_over_is_replaced_by_one_of_another_name(run: Run, queue: FakeQueue, state: State) -> None:
    run.comes("1")
    run.look()
    run.goes("1", state)
    run.look()
    assert [*queue.jobs] == ["1", "2", "3"]
    assert queue.jobs["3"].name not in (queue.jobs["1"].name, queue.jobs["2"].name)
    assert queue.cancelled == []


def test_the_worker_of_a_job_that_is_over_is_taken_from_the_scheduler(run: Run, queue: FakeQueue) -> None:
    """Its node died: the connection doesn't say so for minutes, and its blocks would wait as long."""
    run.comes("1", busy=True)
    run.look()
    queue.becomes("1", State.TAKEN)
    run.look()
    assert run.dropped == [f"tls://{queue.jobs['1'].name}"]


def test_jobs_that_others_cancel_in_the_queue_are_replaced_for_as_long_as_it_takes(run: Run, queue: FakeQueue) -> None:
    for _ in range(2 * BROKEN):
        latest = [*queue.jobs][-1]
        queue.becomes(latest, State.TAKEN)
        run.look()
    assert len(queue.jobs) == 2 + 2 * BROKEN


def test_a_job_that_the_queue_has_not_listed_yet_is_not_handed_in_again(run: Run, queue: FakeQueue) -> None:
    run.slots.compare({}, [], 2)
    assert len(queue.jobs) == 2


def test_a_job_that_the_queue_has_forgotten_is_replaced(run: Run, queue: FakeQueue) -> None:
    run.comes("1")
    run.look()
    del queue.jobs["1"]
    run.passes(2 * POLL + 1)
    run.look()
    assert [*queue.jobs] == ["2", "3"]
    assert queue.jobs["3"].name.endswith("0-2"), "slot 0, attempt 2"


def _breaks(run: Run, queue: FakeQueue, folder: Path) -> None:
    """End the latest job before its worker connected."""
    latest = [*queue.jobs][-1]
    (folder / f"{latest}.log").write_text("one\ntwo\nModuleNotFoundError: no stemdask\n")
    queue.becomes(latest, State.OVER)
    run.passes(LONGEST_DELAY)
    run.look()


def test_jobs_that_end_before_their_worker_came_end_the_run_with_what_the_last_one_said(
    run: Run, queue: FakeQueue, tmp_path: Path
) -> None:
    for _ in range(BROKEN - 1):
        _breaks(run, queue, tmp_path)
    with pytest.raises(ClusterError, match=r"3 jobs ended before their worker connected.*no stemdask"):
        _breaks(run, queue, tmp_path)


def test_jobs_that_end_at_once_end_no_run_whose_other_workers_live(tmp_path: Path, queue: FakeQueue) -> None:
    run = Run(tmp_path, queue, 10)
    run.look()
    run.comes("1")
    run.look()
    for number in map(str, range(2, 2 + 2 * BROKEN)):
        queue.becomes(number, State.OVER)
    run.look()
    assert run.slots.standing()


def test_of_many_jobs_that_start_some_may_end_before_their_worker_came(tmp_path: Path, queue: FakeQueue) -> None:
    """A run ends once as many did as are still starting."""
    run = Run(tmp_path, queue, 20)
    run.look()
    for number in [*queue.jobs]:
        queue.becomes(number, State.RUNNING)
    for number in map(str, range(1, 10)):
        queue.becomes(number, State.OVER)
    run.look()
    queue.becomes("10", State.OVER)
    with pytest.raises(ClusterError, match="10 jobs ended before their worker connected"):
        run.look()


def test_a_node_that_breaks_jobs_ends_no_run_whose_other_workers_live(
    run: Run, queue: FakeQueue, tmp_path: Path
) -> None:
    run.comes("1")
    for _ in range(3 * BROKEN):
        run.beats("1")
        _breaks(run, queue, tmp_path)
    before = len(queue.jobs)
    for _ in range(20):
        run.passes(1)
        queue.becomes([*queue.jobs][-1], State.OVER)
        run.look()
    assert len(queue.jobs) - before <= 1, "and takes no more than a job every five minutes"
    assert "ended before its worker connected: one | two | ModuleNotFoundError" in run.slots.trouble


def test_a_job_out_of_memory_gets_half_as_much_on_top_once(run: Run, queue: FakeQueue) -> None:
    run.comes("1")
    run.look()
    run.goes("1", State.OUT_OF_MEMORY)
    run.look()
    assert "#SBATCH --mem=1536M" in queue.scripts["3"]
    assert "--mem" not in queue.scripts["2"]
    run.comes("3")
    run.look()
    run.goes("3", State.OUT_OF_MEMORY)
    with pytest.raises(ClusterError, match=r"had too little memory, though it got 1\.5 times as much"):
        run.look()


def test_a_replacement_is_submitted_before_the_walltime_ends(run: Run, queue: FakeQueue) -> None:
    run.comes("1", busy=True, left=181.0)
    run.comes("2", busy=True)
    run.look()
    assert len(queue.jobs) == 2
    queue.becomes("1", State.RUNNING, seconds_left=179.0)
    run.look()
    run.look()
    assert [*queue.jobs] == ["1", "2", "3"]
    assert queue.cancelled == [], "the old one ends its block"
    run.goes("1", State.OVER)
    run.look()
    assert len(queue.jobs) == 3


def test_workers_follow_the_work_between_the_least_and_the_most(tmp_path: Path, queue: FakeQueue) -> None:
    run = Run(tmp_path, queue, 4)
    run.look()
    assert len(queue.jobs) == 4
    run.comes("1")
    run.comes("2", busy=True)
    run.comes("3")
    run.look(wanted=2)
    assert {address[-3] for address in run.dropped} == {"0", "2"}, "the idle ones are told to leave"
    assert queue.cancelled == [], "and their jobs end by themselves"
    run.look(wanted=1)
    assert sorted(queue.cancelled) == ["1", "3", "4"], "those that didn't, and one that still waited"
    run.look(wanted=1)
    assert len(queue.jobs) == 4, "the least is there"


def test_waiting_is_counted_from_the_submission_to_the_worker(run: Run, queue: FakeQueue) -> None:
    run.passes(20)
    run.comes("1")
    run.look()
    run.passes(10)
    run.comes("2")
    run.look()
    run.look()
    assert run.slots.waits == [20.0, 30.0]


def test_a_job_that_stands_for_no_slot_is_ended(run: Run, queue: FakeQueue) -> None:
    queue.jobs["99"] = JobView("99", "stemdask-a-2-0-1", State.RUNNING)
    run.look()
    assert queue.cancelled == ["99"]
    run.look()
    assert queue.cancelled == ["99"]


def test_jobs_that_an_earlier_driver_left_in_the_queue_stand_for_slots(tmp_path: Path, queue: FakeQueue) -> None:
    names = ["stemdask-a-2-0-1", "stemdask-a-2-1-1", "stemdask-a-2-2-1"]
    left = [JobView(str(90 + k), name, State.PENDING, "PENDING", "Priority") for k, name in enumerate(names)]
    queue.jobs = {job.id: job for job in left}
    run = Run(tmp_path, queue, 2)
    run.slots.adopt(left)
    run.look()
    assert queue.asked == [], "two were there already"
    assert queue.cancelled == ["92"], "and one too many"
    run.comes("90")
    assert run.look() == "1 jobs pending: Priority"


def test_an_unanswered_submission_is_looked_up_and_not_handed_in_again(run: Run, queue: FakeQueue) -> None:
    run.goes("1", State.TAKEN)
    queue.error = NoAnswer("sbatch gave no job", value="no answer")
    assert "sbatch gave no job: no answer" in run.look()
    (asked,) = queue.asked[2:]
    queue.error = None
    queue.jobs["77"] = JobView("77", asked, State.PENDING, "PENDING", "Resources")
    run.passes(LONGEST_DELAY)
    run.look()
    assert queue.asked[2:] == [asked]
    assert queue.cancelled == []
    assert "77" in run.slots.standing()


def test_a_submission_that_made_no_job_is_repeated_after_a_minute(run: Run, queue: FakeQueue) -> None:
    run.goes("1", State.TAKEN)
    queue.error = NoAnswer("sbatch gave no job")
    run.look()
    queue.error = None
    run.passes(UNSEEN - 1)
    run.look()
    assert len(queue.asked) == 3
    run.passes(2)
    run.look()
    assert len(queue.asked) == 4


def test_a_refused_job_ends_a_run_of_which_none_was_ever_taken(tmp_path: Path, queue: FakeQueue) -> None:
    queue.error = ClusterError("SLURM refused the job", value="invalid partition")
    with pytest.raises(ClusterError, match="invalid partition"):
        Run(tmp_path, queue, 2).look()


def test_a_job_refused_later_is_tried_again_at_longer_intervals(run: Run, queue: FakeQueue) -> None:
    run.comes("2")
    run.goes("1", State.OVER)
    run.slots._slots[0].came = True
    queue.error = ClusterError("SLURM refused the job", value="sbatch: error: Batch job submission failed")
    tried = []
    for second in range(1500):
        before = len(queue.asked)
        run.passes(1)
        run.beats("2")
        run.look()
        if len(queue.asked) > before:
            tried.append(second)
    waits = [later - sooner for sooner, later in pairwise(tried)]
    assert waits == [FIRST_DELAY, 30, 60, 120, 240, LONGEST_DELAY, LONGEST_DELAY, LONGEST_DELAY]
    assert "Batch job submission failed" in run.look()
    queue.error = None
    run.passes(LONGEST_DELAY)
    run.look()
    assert run.look() == "1 jobs pending: Priority", "nothing is in the way any more"


def test_a_limit_on_jobs_caps_them_until_one_is_over(tmp_path: Path, queue: FakeQueue) -> None:
    queue.most = 2
    run = Run(tmp_path, queue, 4)
    assert "AssocMaxSubmitJobLimit" in run.look()
    assert len(queue.jobs) == 2
    run.comes("1")
    run.look()
    run.goes("1", State.OVER)
    run.look()
    assert len(queue.jobs) == 3, "at once, since there is room"
    assert sum(not job.over for job in queue.jobs.values()) == 2


def test_a_limit_that_leaves_no_room_at_all_ends_no_run(tmp_path: Path, queue: FakeQueue) -> None:
    queue.most = 0
    assert "accepts no more jobs" in Run(tmp_path, queue, 1).look()


def test_a_job_that_can_never_start_ends_a_run_without_workers_after_some_looks(run: Run, queue: FakeQueue) -> None:
    queue.becomes("1", State.PENDING, reason="PartitionDown")
    for _ in range(GRACE):
        run.look()
    with pytest.raises(ClusterError, match="job 1 can never start: PartitionDown"):
        run.look()


def test_a_partition_that_goes_down_ends_no_run_that_had_workers(run: Run, queue: FakeQueue) -> None:
    run.comes("1")
    queue.becomes("2", State.PENDING, reason="PartitionDown")
    for _ in range(3 * GRACE):
        assert run.look() == "1 jobs pending: PartitionDown"


def test_a_job_that_runs_without_a_worker_is_replaced_after_the_deadline(run: Run, queue: FakeQueue) -> None:
    queue.becomes("1", State.RUNNING)
    run.look()
    run.passes(300)
    run.look()
    assert queue.cancelled == []
    run.passes(1)
    run.look()
    assert queue.cancelled == ["1"]
    assert [*queue.jobs] == ["1", "2", "3"]


def test_workers_that_start_slowly_end_no_run(run: Run, queue: FakeQueue, caplog: pytest.LogCaptureFixture) -> None:
    """As hundreds do from one file system: their jobs are replaced for as long as there is patience."""
    for _ in range(2 * BROKEN):
        for number, job in list(queue.jobs.items()):
            if job.state is State.PENDING:
                queue.becomes(number, State.RUNNING)
        run.look()
        run.passes(301)
        run.look()
    assert len(queue.asked) == 2 + 2 * 2 * BROKEN
    assert "its worker didn't for 300 s (cluster.replace_after)" in caplog.text


def test_a_worker_that_does_not_respond_is_dropped_and_its_job_replaced(run: Run, queue: FakeQueue) -> None:
    run.comes("1", busy=True)
    run.comes("2", busy=True)
    run.look()
    for _ in range(301):
        run.passes(1)
        run.beats("2")
        run.look()
    assert run.dropped == [f"tls://{queue.jobs['1'].name}"]
    assert queue.cancelled == ["1"]
    assert [*queue.jobs] == ["1", "2", "3"]


def test_workers_are_not_given_up_for_the_time_in_which_their_driver_was_away(run: Run, queue: FakeQueue) -> None:
    run.comes("1")
    run.comes("2")
    run.look()
    run.time += 3600
    run.clock.tick()
    run.look()
    assert (run.dropped, queue.cancelled) == ([], [])


def test_a_clock_does_not_count_what_it_slept_through() -> None:
    time = [0.0]
    clock = Clock(lambda: time[0])
    for step, seconds in ((1.0, 1.0), (LONGEST, 1.0 + LONGEST), (LONGEST + 1, 1.0 + LONGEST), (2.0, 3.0 + LONGEST)):
        time[0] += step
        assert clock.tick() == seconds


@pytest.mark.long
def test_a_thousand_jobs_are_watched_with_little_work(tmp_path: Path, queue: FakeQueue) -> None:
    """A day of looks, one in fifteen seconds, is 5,760 of them."""
    run = Run(tmp_path, queue, 1000)
    run.look()
    assert len(queue.jobs) == 1000
    for number in [*queue.jobs]:
        run.comes(number, busy=True)
    began = time.process_time()
    for _ in range(20):
        run.passes(15)
        for number in [*queue.jobs]:
            run.beats(number)
        run.look()
    assert (time.process_time() - began) / 20 < 0.5, "seconds of processor a look"
    for number in [str(k) for k in range(1, 501)]:
        run.goes(number, State.TAKEN)
    run.look()
    assert len(queue.jobs) == 1500
    assert (queue.cancelled, run.dropped) == ([], [])
