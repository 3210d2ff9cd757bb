"""Talking to SLURM: submit, look, cancel. Every call has a deadline; no answer is not an answer."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stemdask.errors import ClusterError

log = logging.getLogger(__name__)


class NoAnswer(ClusterError):
    """SLURM's controller is busy, restarting or out of reach; later it may answer."""


#: Seconds that one command may take.
CALL_SECONDS = 30.0
#: Seconds before each new try of a submission that failed for a passing reason.
BACK_OFF = (2.0, 5.0, 15.0)
#: What a controller says that is busy, restarting or out of reach.
_PASSING = re.compile(
    r"unable to contact|timed out|temporarily|connection refused|try again|socket|communication", re.IGNORECASE
)
#: Pending reasons that waiting doesn't change; SLURM accepts such jobs all the same.
HOPELESS = re.compile(
    r"Partition(Down|Inactive|TimeLimit|NodeLimit)|BadConstraints|Invalid(Account|QOS)|MaxWallDuration|"
    r"Max\w*PerJob|JobHeld|AccountNotAllowed|QOSNotAllowed|held"
)
#: States of a job that is over.
OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"}
OVER |= {"PREEMPTED", "REVOKED", "TIMEOUT"}


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its queue shows it."""

    id: str
    name: str
    state: str
    reason: str = ""
    node: str = ""
    seconds_left: float = float("inf")

    @property
    def over(self) -> bool:
        """It will not run any more."""
        return self.state in OVER


class Queue(Protocol):
    """Where worker scripts are handed in: SLURM's queue, or the steps of an allocation."""

    def submit(self, script: str, name: str) -> str:
        """Hand in a script; return its id. Raise NoAnswer for a passing reason, ClusterError where it is refused."""
        ...

    def look(self) -> list[JobView] | None:
        """Return all jobs of this run, those that are over too; None where nobody answers."""
        ...

    def cancel(self, ids: Iterable[str]) -> None:
        """End jobs; ids that are over are no error."""
        ...


class Jobs:
    """SLURM's own queue; the jobs of a run are those whose names begin with its tag."""

    def __init__(self, tag: str) -> None:
        missing = [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]
        if missing:
            raise ClusterError(
                f"there is no {', '.join(missing)} here",
                where="cluster.kind: slurm",
                remedy="Run on a login node, or use another kind of cluster",
            )
        self._tag = tag

    def test(self, script: str) -> None:
        """Ask whether SLURM would take a script; raise ClusterError with its words where it would not."""
        tested = _call(["sbatch", "--test-only"], script)
        if tested is not None and tested.returncode and not _PASSING.search(tested.stderr):
            raise _refused(tested.stderr)

    def submit(self, script: str, name: str) -> str:
        """Hand in a script; return the id of its job.

        A submission without an answer may have made a job all the same: it is looked up by its name, and not handed
        in again before the queue has answered.

        Raises
        ------
        NoAnswer
            For a passing reason there is no job after several tries.
        ClusterError
            SLURM refuses the script; has its words.
        """
        said, unseen = "", False
        for delay in (*BACK_OFF, None):
            done = None if unseen else _call(["sbatch", "--parsable"], script)
            if done is not None:
                number = done.stdout.strip().partition(";")[0]
                if done.returncode == 0 and number.isdecimal():
                    return number
                said = (done.stderr or done.stdout).strip()
            listed = self._listed(name)
            if found := [job.id for job in listed or () if job.name == name and not job.over]:
                return found[0]
            unseen = listed is None and (unseen or done is None or done.returncode == 0)
            if done is not None and done.returncode and not _PASSING.search(done.stderr):
                raise _refused(said)
            if delay is not None:
                log.warning("sbatch gave no job for %s (%s); trying again in %g s", name, said or "no answer", delay)
                time.sleep(delay)
        raise NoAnswer(
            "sbatch gave no job", value=said or "no answer", remedy="Run again when SLURM answers; nothing is lost"
        )

    def look(self) -> list[JobView] | None:
        """Return the jobs of this run."""
        return self._listed(self._tag)

    def cancel(self, ids: Iterable[str]) -> None:
        """End jobs."""
        chosen = [number for number in ids if number.isdecimal()]
        if chosen:
            _call(["scancel", *chosen])

    def sweep(self, family: str) -> int:
        """End what earlier drivers of the same store left; return how many jobs that were."""
        left = [job.id for job in self._listed(family) or () if not job.over and not job.name.startswith(self._tag)]
        self.cancel(left)
        return len(left)

    def _listed(self, prefix: str) -> list[JobView] | None:
        done = _call(["squeue", "--me", "--noheader", "--states=all", "--format=%i|%j|%T|%r|%N|%L"])
        if done is None or done.returncode:
            return None
        rows = [line.split("|") for line in done.stdout.splitlines() if line.count("|") >= 5]
        return [
            JobView(number, name, state, reason, node, _seconds(left))
            for number, name, state, reason, node, left in (row[:6] for row in rows)
            if name.startswith(prefix)
        ]


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Look again and again until something is true or the time is over; return which."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _call(command: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str] | None:
    """Run a command of SLURM without a shell; None where it doesn't answer in time."""
    # Inside a job the environment would make every worker a copy of the driver's job.
    leaking = ("SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_", "SRUN_")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(leaking) or k == "SLURM_CONF"}
    try:
        return subprocess.run(
            list(command),
            input=text or "",
            env=clean,
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        log.warning("%s did not answer within %g s", command[0], CALL_SECONDS)
        return None


def _refused(said: str) -> ClusterError:
    return ClusterError(
        "SLURM refused the job", value=" ".join(said.split()), remedy="Change the keys of 'cluster' in the config"
    )


def _seconds(text: str) -> float:
    """Read squeue's time left: [D-]HH:MM:SS or MM:SS; without a limit, infinity."""
    days, _, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in parts) or (days and not days.isdecimal()):
        return float("inf")
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return seconds + 86400 * int(days or 0)
