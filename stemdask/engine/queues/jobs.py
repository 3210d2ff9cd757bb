"""Jobs in a queue: submit, look, cancel. Every call has a deadline; no answer is not an answer."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from stemdask.engine.queues.queue import JobView, Queue
from stemdask.errors import ClusterError

log = logging.getLogger(__name__)


class NoAnswer(ClusterError):
    """The queue's server is busy, restarting or out of reach; later it may answer."""


#: Seconds that one command may take.
CALL_SECONDS = 30.0
#: Seconds before each new try of a submission that failed for a passing reason.
BACK_OFF = (2.0, 5.0, 15.0)


class WorkerJobs(Protocol):
    """Where the scripts of workers are handed in: a queue, or the steps of an allocation."""

    def test(self, script: str) -> None:
        """Raise ClusterError where a script would not be taken."""
        ...

    def submit(self, script: str, name: str) -> str:
        """Hand in a script; return its id. Raise NoAnswer for a passing reason, ClusterError where it is refused."""
        ...

    def look(self) -> list[JobView] | None:
        """Return all jobs of this run, those that are over too; None where nobody answers."""
        ...

    def cancel(self, ids: Iterable[str]) -> None:
        """End jobs; ids that are over are no error."""
        ...

    def sweep(self, family: str) -> int:
        """End what earlier drivers of the same store left; return how many jobs that were."""
        ...


class Jobs:
    """The jobs of a run in a queue: those whose names begin with its tag."""

    def __init__(self, queue: Queue, tag: str) -> None:
        if missing := queue.missing():
            raise ClusterError(
                f"there is no {', '.join(missing)} here",
                where=f"cluster.kind: {queue.kind}",
                remedy="Run on a login node, or use another kind of cluster",
            )
        self._queue = queue
        self._tag = tag

    def test(self, script: str) -> None:
        """Ask whether the queue would take a script; raise ClusterError with its words where it would not."""
        if not self._queue.rehearse:
            return
        tested = self._call(self._queue.rehearse, script)
        if tested is not None and tested.returncode and not self._queue.passing.search(tested.stderr):
            raise self._refused(tested.stderr)

    def submit(self, script: str, name: str) -> str:
        """Hand in a script; return the id of its job.

        A submission without an answer may have made a job all the same: it is looked up by its name, and not handed
        in again before the queue has answered.

        Raises
        ------
        NoAnswer
            For a passing reason there is no job after several tries.
        ClusterError
            The queue refuses the script; has its words.
        """
        command = self._queue.submit[0]
        said, unseen = "", False
        for delay in (*BACK_OFF, None):
            done = None if unseen else self._call(self._queue.submit, script)
            if done is not None:
                answer = self._queue.answer.fullmatch(done.stdout.strip())
                if done.returncode == 0 and answer is not None:
                    return str(answer[1])
                said = (done.stderr or done.stdout).strip()
            listed = self._listed(name)
            if found := [job.id for job in listed or () if job.name == name and not job.over]:
                return found[0]
            unseen = listed is None and (unseen or done is None or done.returncode == 0)
            if done is not None and done.returncode and not self._queue.passing.search(done.stderr):
                raise self._refused(said)
            if delay is not None:
                log.warning(
                    "%s gave no job for %s (%s); trying again in %g s", command, name, said or "no answer", delay
                )
                time.sleep(delay)
        raise NoAnswer(
            f"{command} gave no job",
            value=said or "no answer",
            remedy=f"Run again when {self._queue.title} answers; nothing is lost",
        )

    def look(self) -> list[JobView] | None:
        """Return the jobs of this run."""
        return self._listed(self._tag)

    def cancel(self, ids: Iterable[str]) -> None:
        """End jobs."""
        chosen = [number for number in ids if self._queue.job_id.fullmatch(number)]
        if chosen:
            self._call([*self._queue.cancel, *chosen])

    def sweep(self, family: str) -> int:
        """End what earlier drivers of the same store left; return how many jobs that were."""
        left = [job.id for job in self._listed(family) or () if not job.over and not job.name.startswith(self._tag)]
        self.cancel(left)
        return len(left)

    def _listed(self, prefix: str) -> list[JobView] | None:
        done = self._call(self._queue.look)
        if done is None or done.returncode:
            return None
        return [job for job in self._queue.read(done.stdout) if job.name.startswith(prefix)]

    def _call(self, command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str] | None:
        """Run a command of the queue without a shell; None where it doesn't answer in time."""
        leaking, kept = self._queue.leaking, self._queue.kept
        clean = {key: value for key, value in os.environ.items() if key in kept or not key.startswith(leaking)}
        try:
            return subprocess.run(
                list(command),
                input=text,
                env=clean,
                capture_output=True,
                text=True,
                timeout=CALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            log.warning("%s did not answer within %g s", command[0], CALL_SECONDS)
            return None

    def _refused(self, said: str) -> ClusterError:
        return ClusterError(
            f"{self._queue.title} refused the job",
            value=" ".join(said.split()),
            remedy="Change the keys of 'cluster' in the config",
        )


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Look again and again until something is true or the time is over; return which."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True
