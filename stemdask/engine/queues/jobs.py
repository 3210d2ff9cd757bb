"""Jobs in a queue: submit, look, cancel. Every call has a deadline; a missing answer means nothing either way."""

from __future__ import annotations

import getpass
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from stemdask.engine.queues.queue import JobView, Partition, Queue
from stemdask.errors import ClusterError

log = logging.getLogger(__name__)


class NoAnswer(ClusterError):
    """The queue's server is busy, restarting or unreachable; it may answer later, and may have accepted the job."""


class Full(ClusterError):
    """The user has reached the job limit; once a job has ended, another is accepted."""


#: Seconds that one command may take.
CALL_SECONDS = 30.0
#: Seconds before each retry of a submission that a user is waiting for.
BACK_OFF = (2.0, 5.0, 15.0)


class WorkerJobs(Protocol):
    """Where the scripts of workers are submitted: a queue, or the steps of an allocation."""

    def test(self, script: str) -> None:
        """Raise ClusterError if a script would not be accepted."""
        ...

    def submit(self, script: str, name: str) -> str:
        """Submit a script; return its id. Raise NoAnswer, Full, or ClusterError if it is refused."""
        ...

    def look(self) -> list[JobView] | None:
        """Return all jobs of this family, including finished ones; None if nothing answers."""
        ...

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs; ids of finished jobs are no error."""
        ...


class Jobs:
    """The jobs of a family in a queue: those whose names share a prefix."""

    def __init__(self, queue: Queue, family: str) -> None:
        if missing := queue.missing():
            raise ClusterError(
                f"{', '.join(missing)} not found on this machine",
                where=f"cluster.kind: {queue.kind}",
                remedy="Run on a login node, or use another kind of cluster",
            )
        self._queue = queue
        self._family = family

    def test(self, script: str) -> None:
        """Ask whether the queue would accept a script; raise ClusterError with its message if not."""
        if not self._queue.rehearse:
            return
        words, text = self._queue.handed(script)
        tested = self._call([*self._queue.rehearse, *words], text)
        if tested is not None and tested.returncode and not self._queue.passing.search(tested.stderr):
            raise self._refused(tested.stderr)

    def submit(self, script: str, name: str) -> str:
        """Submit a script; return the id of its job.

        Raises
        ------
        NoAnswer
            The queue gave no answer. There may be a job nevertheless: look it up by its name before submitting another
            in its place.
        Full
            No more jobs of this user are accepted.
        ClusterError
            The queue refuses the script; holds its message.
        """
        words, text = self._queue.handed(script)
        done = self._call([*self._queue.submit, *words], text)
        if done is not None and done.returncode == 0 and (id_ := self._queue.answer.fullmatch(done.stdout.strip())):
            return str(id_[1])
        said = " ".join((done.stderr or done.stdout).split()) if done is not None else "no answer"
        if done is None or done.returncode == 0 or self._queue.passing.search(said):
            raise NoAnswer(
                f"{self._queue.submit[0]} gave no job",
                value=said or "no answer",
                remedy=f"Run again once {self._queue.title} responds; nothing is lost",
            )
        if self._queue.full.search(said):
            raise Full(
                f"{self._queue.title} accepts no more jobs", value=said, remedy="Run again once other jobs have ended"
            )
        raise self._refused(said)

    def submit_patiently(self, script: str, name: str) -> str:
        """Submit a script that a user is waiting for, with retries; return the id of its job.

        Raises
        ------
        NoAnswer, ClusterError
            As `submit`.
        """
        error = NoAnswer(f"{self._queue.submit[0]} gave no job")
        for delay in (0.0, *BACK_OFF):
            time.sleep(delay)
            listed = self.look() if delay else []
            if listed is None:
                continue  # not handed in twice: whether there is a job isn't known before the queue answers
            if there := [job.id for job in listed if job.name == name and not job.over]:
                return there[0]
            try:
                return self.submit(script, name)
            except NoAnswer as found:
                error = found
                log.warning("%s (%s)", error.what, error.value)
        raise error

    def look(self) -> list[JobView] | None:
        """Return the jobs of this family."""
        chosen: list[str] = []
        if self._queue.select:
            user = getpass.getuser()
            listed = self._call([word.replace("{user}", user) for word in self._queue.select])
            if listed is None or listed.returncode:
                return None
            if not (chosen := listed.stdout.split()):
                return []
        done = self._call([*self._queue.look, *chosen])
        if done is None or done.returncode:
            return None
        return [job for job in self._queue.read(done.stdout) if job.name.startswith(self._family)]

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs."""
        chosen = [number for number in ids if self._queue.job_id.fullmatch(number)]
        if chosen:
            self._call([*self._queue.cancel, *chosen])

    def partitions(self) -> list[Partition]:
        """Return the partitions of the cluster; none if the queue doesn't say."""
        done = self._call(self._queue.list_partitions) if self._queue.list_partitions else None
        return self._queue.read_partitions(done.stdout) if done is not None and done.returncode == 0 else []

    def _call(self, command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str] | None:
        """Run a command of the queue without a shell; None if it doesn't answer in time."""
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
    """Poll until a condition is true or the time is over; return which."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True
