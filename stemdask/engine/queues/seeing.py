"""What is known about the jobs of a run, whether its driver is pending, running or gone."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stemdask.engine.queues.jobs import Jobs
from stemdask.engine.queues.queue import JobView, State
from stemdask.engine.queues.records import queue_of
from stemdask.engine.workers.usage import SAID
from stemdask.store import lock
from stemdask.store.disk import write_file
from stemdask.store.layout import run_directory

#: Seconds after which what a driver wrote is called old.
OLD = 120.0
#: Workers that are listed individually.
NAMED = 20


def write_submitted(store: Path, kind: str, job: str, name: str) -> None:
    """Record that a driver's job was submitted."""
    write_file(run_directory(store) / "submitted.json", json.dumps({"kind": kind, "job": job, "name": name}))


def write_jobs(store: Path, jobs: Sequence[dict[str, Any]], trouble: str, logs: Path) -> None:
    """Record what the driver knows about its jobs."""
    data = {"at": time.time(), "jobs": list(jobs), "trouble": trouble, "logs": str(logs)}
    write_file(run_directory(store) / "jobs.json", json.dumps(data))


def lines(store: Path) -> list[str]:
    """Return what is known about the driver and its jobs, as lines for a terminal; none for a run without any."""
    folder = run_directory(store)
    driver = lock.holder(folder)
    found = [f"  driver: running, {driver}"] if driver else _driver_in_queue(_read(folder / "submitted.json"))
    written = _read(folder / "jobs.json")
    if driver and written:
        found += [_job(job) for job in written["jobs"][:NAMED]]
        if more := written["jobs"][NAMED:]:
            found.append(f"  and {len(more)} more workers, {sum(job['present'] for job in more)} of them running")
        if written["trouble"]:
            found.append(f"  last problem: {written['trouble']}")
        if (age := time.time() - written["at"]) > OLD:
            found.append(f"  the driver last queried the queue {age:.0f} s ago")
    return found


def used(store: Path) -> list[str]:
    """Return what the jobs of the last run used, as lines for a terminal; none if its workers were not jobs."""
    try:
        return (run_directory(store) / SAID).read_text().splitlines()
    except OSError:
        return []


def waits(store: Path) -> bool:
    """Tell whether a driver is running or pending, so that more is to come."""
    folder = run_directory(store)
    if lock.holder(folder):
        return True
    job = _look(_read(folder / "submitted.json"))
    return job is not None and not job.over


def _driver_in_queue(submitted: dict[str, Any]) -> list[str]:
    job = _look(submitted)
    if not submitted:
        return []
    if job is None or job.over:
        word = job.word if job is not None else "not in the queue"
        return [f"  driver: not running; its job {submitted['job']} is {word}"]
    return [f"  driver: job {job.id} {_state(job.word, job.reason, job.starts, job.node)}"]


def _look(submitted: dict[str, Any]) -> JobView | None:
    if not submitted:
        return None
    queue = queue_of(submitted["kind"])
    listed = None if queue.missing() else Jobs(queue, submitted["name"]).look()
    return next((job for job in listed or () if job.id == submitted["job"]), None)


def _job(job: dict[str, Any]) -> str:
    text = f"  worker {job['slot']}: "
    if job["job"]:
        text += f"job {job['job']} {_state(job['word'], job['reason'], job['starts'], job['node'])}"
        if job["state"] == State.RUNNING.name and not job["present"]:
            text += ", its worker has not connected yet"
    else:
        text += "has no job"
    return text + (f"; attempt {job['attempt']}, replaced: {job['why']}" if job["why"] else "")


def _state(word: str, reason: str, starts: str, node: str) -> str:
    more = [f"on {node}"] if node else []
    more += [f"({reason})"] if reason not in ("", "None") else []
    more += [f"expected to start {starts}"] if starts else []
    return " ".join([(word or "submitted").lower(), *more])


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}
