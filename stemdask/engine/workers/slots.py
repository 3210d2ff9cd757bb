"""Wanted workers, compared with what the queue shows and what the scheduler hears."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.engine.clock import Clock
from stemdask.engine.queues.jobs import Full, NoAnswer, WorkerJobs
from stemdask.engine.queues.queue import JobView, Queue, State
from stemdask.engine.queues.script import WorkerScript, margin
from stemdask.errors import ClusterError

log = logging.getLogger(__name__)

#: Jobs in a row that may end before their worker came, while there is no other.
BROKEN = 3
#: Looks at the queue that a hopeless pending reason may last: an administrator may be at work.
GRACE = 4
#: After a job that had too little memory, its slot gets this many times as much, once.
MORE_MEMORY = 1.5
#: Seconds after which a job that was asked for without an answer, and isn't in the queue, never will be.
UNSEEN = 60.0
#: Seconds before jobs are submitted again after the queue took none: the first time, and at most.
FIRST_DELAY, LONGEST_DELAY = 15.0, 300.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that the scheduler has."""

    name: str
    address: str
    heard: float
    """Time at which the scheduler last heard of it, on whatever clock."""
    busy: bool


@dataclass(slots=True)
class Slot:
    """A wanted job: the one that stands for it now."""

    number: int
    attempt: int = 0
    job: str = ""
    """Id in the queue; empty where none stands for the slot, or where its submission gave no answer."""
    name: str = ""
    """Of the job and its worker; empty where none was submitted."""
    submitted: float = 0.0
    present: float = 0.0
    """When its worker was last heard of, or its job began to run."""
    running: bool = False
    came: bool = False
    """Its worker has been there."""
    hopeless: int = 0
    memory_factor: float = 1.0
    why: str = ""
    """Why its last job was replaced."""
    leaving: list[str] = field(default_factory=list)
    """Jobs near their walltime whose replacement is on its way."""


class Slots:
    """The wanted jobs of a run: submitted, watched, replaced.

    Once the queue took one job of a run, nothing that it refuses later ends the run: it is tried again, at longer and
    longer intervals, until workers have been missing for too long.

    Parameters
    ----------
    jobs
        Where scripts are submitted.
    script
        Of a job.
    queue
        The record of the batch system.
    tag
        How the names of this driver's jobs begin.
    config
        Of the cluster.
    n
        Largest number of jobs.
    clock
        On which deadlines are held.
    drop
        Takes a worker, by its address, away from the scheduler, so that its blocks go elsewhere.
    """

    def __init__(
        self,
        jobs: WorkerJobs,
        script: WorkerScript,
        queue: Queue,
        *,
        tag: str,
        config: Batch,
        n: int,
        clock: Clock,
        drop: Callable[[str], None],
    ) -> None:
        self._jobs, self._script, self._queue, self._tag, self._config = jobs, script, queue, tag, config
        self._clock, self._drop = clock, drop
        self._slots = [Slot(number) for number in range(n)]
        self._heard: dict[str, tuple[float, float]] = {}
        """Of each worker: what the scheduler said of it, and when that was new to us."""
        self._ending = Event()
        self._any_taken = self._any_came = False
        self._broken = self._broken_alone = 0
        """Jobs that ended before their worker came: since the last one that came, and since there were any."""
        self._delay = self._not_before = 0.0
        self.trouble = ""
        """Why the last job wasn't taken."""
        self.waits: list[float] = []
        """Seconds from each submission to the look at which its worker was there; on the driver's clock."""

    def adopt(self, pending: Iterable[JobView]) -> None:
        """Let jobs that an earlier driver left in the queue stand for slots."""
        for slot, job in zip((slot for slot in self._slots if not slot.name), pending, strict=False):
            slot.job, slot.name, slot.submitted = job.id, job.name, self._clock.seconds
            self._any_taken = True
            log.info("job %s of an earlier driver stands for slot %d", job.id, slot.number)

    def stop(self) -> None:
        """Submit nothing more; may be called from another thread."""
        self._ending.set()

    def compare(self, seen: Mapping[str, JobView], workers: Sequence[Worker], wanted: int) -> str:
        """Replace jobs that have ended, or soon will, and end those that nobody wants; return what is pending.

        Parameters
        ----------
        seen
            The jobs of this run and of earlier ones of its store, by id.
        workers
            Those that the scheduler has.
        wanted
            Jobs that there is work for.

        Raises
        ------
        ClusterError
            No job would help.
        """
        at_work = self._listen(workers)
        for slot in self._slots:
            slot.leaving = [number for number in slot.leaving if number in seen and not seen[number].over]
            self._review(slot, seen, at_work.get(slot.name, []))
        if at_work:
            self._broken_alone = 0
        starting = sum(job.state is State.RUNNING for job in seen.values())
        if self._broken_alone >= max(BROKEN, starting):  # of many that start at once some may well be too slow
            self._raise_broken()
        self._end_strays(seen)
        self._relieve(seen)
        self._follow_work(seen, at_work, wanted)
        return self._pending(seen)

    def standing(self) -> list[str]:
        """Return the ids of the jobs that stand for slots, those too that are leaving."""
        return [number for slot in self._slots for number in (slot.job, *slot.leaving) if number]

    def record(self, seen: Mapping[str, JobView]) -> list[dict[str, Any]]:
        """Return what is known of each slot, for whoever asks after the run."""
        heard = set(self._heard)
        rows = []
        for slot in self._slots:
            job = seen.get(slot.job, JobView(slot.job, slot.name, State.OTHER))
            shown = {"word": job.word, "state": job.state.name, "reason": job.reason, "node": job.node}
            present = any(name.startswith(slot.name) for name in heard) if slot.name else False
            rows.append(
                {"slot": slot.number, "job": slot.job, "attempt": slot.attempt, "why": slot.why, "present": present}
                | shown
                | {"starts": job.starts}
            )
        return rows

    def _listen(self, workers: Sequence[Worker]) -> dict[str, list[Worker]]:
        """Return the workers that are heard of, by the name of their job; drop those that aren't any more."""
        now, before = self._clock.seconds, self._heard
        self._heard = {}
        names = {slot.name for slot in self._slots}
        found: dict[str, list[Worker]] = defaultdict(list)
        for worker in workers:
            said, when = before.get(worker.name, (float("nan"), now))
            self._heard[worker.name] = worker.heard, now if said != worker.heard else when
            if now - self._heard[worker.name][1] > self._config.replace_after:
                log.warning("worker %s did not respond for %g s", worker.name, self._config.replace_after)
                self._drop(worker.address)
                continue
            job = worker.name if worker.name in names else worker.name.rpartition("-")[0]
            found[job].append(worker)
        return found

    def _review(self, slot: Slot, seen: Mapping[str, JobView], workers: Sequence[Worker]) -> None:
        now = self._clock.seconds
        if slot.name and not slot.job:  # submitted without an answer: there may be a job nevertheless
            slot.job = next((job.id for job in seen.values() if job.name == slot.name), "")
            if slot.job:
                self._any_taken = True
                log.info("job %s stands for slot %d, whose submission gave no answer", slot.job, slot.number)
            elif now - slot.submitted > UNSEEN:
                slot.name = ""
        if workers:
            if not slot.came:
                slot.came = self._any_came = True
                self.waits.append(now - slot.submitted)
                self._broken, self._delay, self.trouble = 0, 0.0, ""
            slot.present = max(self._heard[worker.name][1] for worker in workers)
        job = seen.get(slot.job)
        if not slot.job or (job is None and now - slot.submitted < 2 * self._config.poll_seconds):
            return  # none, or not listed yet
        if job is None or job.over:
            self._lost(slot, job, workers)
        elif job.state is State.PENDING:
            self._check_hope(slot, job)
        elif job.state is State.RUNNING:
            if not slot.running:
                slot.running, slot.present = True, now
            if now - slot.present > self._config.replace_after:
                log.warning(
                    "job %s runs on %s, but its worker didn't for %g s (cluster.replace_after): replacing it",
                    job.id,
                    job.node or "a node",
                    self._config.replace_after,
                )
                self._lost(slot, job, workers)

    def _check_hope(self, slot: Slot, job: JobView) -> None:
        slot.hopeless = slot.hopeless + 1 if self._queue.hopeless.search(job.reason) else 0
        if slot.hopeless > GRACE and not self._any_came:
            raise ClusterError(
                f"job {job.id} can never start: {job.reason}",
                where="cluster",
                remedy="Change partition, walltime or memory in the config; running again continues",
            )

    def _lost(self, slot: Slot, job: JobView | None, workers: Iterable[Worker]) -> None:
        state = job.state if job is not None else State.OVER
        word = job.word if job is not None else "gone from the queue"
        slot.why = f"{word} on {job.node}" if job is not None and job.node else word
        log.warning("job %s of slot %d is over: %s", slot.job, slot.number, slot.why)
        for worker in workers:  # its node died: nobody said farewell
            self._drop(worker.address)
        if state is State.OUT_OF_MEMORY:
            if slot.memory_factor > 1:
                raise ClusterError(
                    f"job {slot.job} had too little memory, though it got {slot.memory_factor:g} times as much",
                    where="cluster.memory",
                    value=f"{self._script.memory / 2**30:.3g} GiB",
                    remedy="Raise it; limits.frame_memory and 1 GiB should fit. Running again continues",
                )
            slot.memory_factor = MORE_MEMORY
        if slot.came or state is State.TAKEN:
            self._not_before = 0.0  # there is room for a job again
        elif state is not State.RUNNING:  # such a one may just start slowly, as many at once from one file system do
            self._broken += 1
            self._broken_alone += 1
            self.trouble = f"job {slot.job} ended before its worker connected: {self._script.tail(slot.job, slot.name)}"
            if self._broken >= BROKEN:  # a node that takes jobs and breaks them would take one after the other
                self._wait()
        slot.job = slot.name = ""

    def _raise_broken(self) -> None:
        raise ClusterError(
            f"{self._broken_alone} jobs ended before their worker connected; the last: {self.trouble}",
            where=self._script.directory,
            remedy="Check that the nodes see this Python and the store; running again continues",
        )

    def _end_strays(self, seen: Mapping[str, JobView]) -> None:
        """End jobs of this store that stand for no slot: of an earlier driver, of a submission nobody answered."""
        known, awaited = set(self.standing()), {slot.name for slot in self._slots if not slot.job}
        strays = [
            number
            for number, job in seen.items()
            if number not in known and job.name not in awaited and not job.over and job.state is not State.ENDING
        ]
        if strays:
            log.warning("ending jobs that stand for no worker: %s", ", ".join(strays))
            self._jobs.cancel(strays)

    def _relieve(self, seen: Mapping[str, JobView]) -> None:
        """Empty the slots whose job is near its walltime: it ends its block, and a new one is on its way."""
        near = 2 * margin(self._config.walltime)
        for slot in self._slots:
            job = seen.get(slot.job)
            if job is not None and job.state is State.RUNNING and job.seconds_left < near:
                slot.leaving.append(slot.job)
                slot.job = slot.name = ""

    def _follow_work(self, seen: Mapping[str, JobView], at_work: Mapping[str, Sequence[Worker]], wanted: int) -> None:
        """Fill empty slots up to what is wanted; end jobs beyond it that have nothing to do."""
        empty = [slot for slot in self._slots if not slot.name]
        surplus = len(self._slots) - len(empty) - wanted
        for slot in empty[: max(0, -surplus)]:
            if self._ending.is_set() or self._clock.seconds < self._not_before:
                break
            self._hand_in(slot)
        if surplus > 0:
            idle = [slot for slot in self._slots if slot.job and not any(w.busy for w in at_work.get(slot.name, ()))]
            for slot in idle[:surplus]:
                log.info("job %s of slot %d has nothing left to do", slot.job, slot.number)
                self._release(slot, seen, at_work.get(slot.name, ()))

    def _release(self, slot: Slot, seen: Mapping[str, JobView], workers: Sequence[Worker]) -> None:
        """Let a job end by itself where its worker is there to be told; a later comparison ends what stays."""
        for worker in workers:
            self._drop(worker.address)
        job = seen.get(slot.job)
        if not workers and (job is None or not job.over):
            self._jobs.cancel([slot.job])
        slot.job = slot.name = ""

    def _hand_in(self, slot: Slot) -> None:
        slot.attempt += 1
        slot.name = f"{self._tag}{slot.number}-{slot.attempt}"
        slot.submitted, slot.running, slot.came, slot.hopeless = self._clock.seconds, False, False, 0
        try:
            slot.job = self._jobs.submit(self._script.text(slot.name, slot.number, slot.memory_factor), slot.name)
        except NoAnswer as error:  # the name stays: it is looked up before the slot is filled again
            self._refused(error)
        except ClusterError as error:
            slot.name = ""
            if not self._any_taken and not isinstance(error, Full):
                raise
            self._refused(error)
        else:
            self._any_taken = True
            if self._broken < BROKEN:
                self._delay, self.trouble = 0.0, ""
            log.info("job %s stands for slot %d, attempt %d", slot.job, slot.number, slot.attempt)

    def _refused(self, error: ClusterError) -> None:
        self.trouble = f"{error.what}: {error.value}" if error.value else error.what
        self._wait()
        log.warning("%s; trying again in %g s", self.trouble, self._delay)

    def _wait(self) -> None:
        self._delay = min(LONGEST_DELAY, max(FIRST_DELAY, 2 * self._delay))
        self._not_before = self._clock.seconds + self._delay

    def _pending(self, seen: Mapping[str, JobView]) -> str:
        jobs = [seen[slot.job] for slot in self._slots if slot.job in seen]
        waiting = [job for job in jobs if job.state is State.PENDING]
        reasons = sorted({job.reason for job in waiting if job.reason not in ("", "None")})
        said = [f"{len(waiting)} jobs pending: {', '.join(reasons) or 'no reason given'}"] if waiting else []
        return "; ".join([*said, *([self.trouble] if self.trouble else [])])
