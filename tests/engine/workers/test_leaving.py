"""Workers that are told to leave by signals, as SLURM tells them; a scheduler that forgives no lost worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import pytest
import toy

from stemdask.engine.workers import leaving
from stemdask.engine.workers.cluster import settings
from stemdask.engine.workers.leaving import BEGAN, LEAVE_AFTER

pytestmark = pytest.mark.processes


class Scheduler:
    """A scheduler in this process, and workers in processes of their own."""

    def __init__(self, folder: Path, cluster: Any, client: Any) -> None:
        self.client = client
        self._folder = folder
        self._cluster = cluster
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def worker(self, name: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it is there."""
        started = self.start(name, 3600)
        toy.wait_until(lambda: name in self.names())
        return started

    def start(self, name: str, seconds: float) -> subprocess.Popen[bytes]:
        """Start a worker that leaves after some seconds."""
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self._cluster.scheduler_address]
        command += ["--no-nanny", "--nthreads=1", "--memory-limit=1GiB", "--no-dashboard", f"--name={name}"]
        command += ["--preload=stemdask.engine.workers.worker", f"--local-directory={self._folder}"]
        environment = os.environ | {LEAVE_AFTER: str(seconds), "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False"}
        started = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        self._started[name] = started
        return started

    def names(self) -> set[str]:
        """Return the names of the workers that are there."""
        return {str(worker.name) for worker in list(self._cluster.scheduler.workers.values())}

    def status(self, name: str) -> str:
        """Return what a worker last said of itself."""
        found = [worker.status.name for worker in list(self._cluster.scheduler.workers.values()) if worker.name == name]
        return str(found[0]) if found else "gone"

    def stop(self) -> None:
        """End the workers."""
        for started in self._started.values():
            started.kill()
            started.wait()


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    import distributed

    library: Any = distributed
    changed = settings(isolated=True) | {
        "distributed.comm.require-encryption": False,
        "distributed.scheduler.allowed-failures": 0,
    }
    with (
        dask.config.set(changed),
        library.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        library.Client(cluster, set_as_default=False) as client,
    ):
        found = Scheduler(tmp_path, cluster, client)
        yield found
        found.stop()


def _work(path: str, until: str) -> str:
    """Write down that it began and that it ended, the first time once a file is there; return who did it."""
    from distributed import get_worker

    name = str(get_worker().name)
    repeated = Path(path).exists()
    with Path(path).open("a") as file:
        file.write(f"begin {name}\n")
    while not repeated and not Path(until).exists():
        time.sleep(0.01)
    with Path(path).open("a") as file:
        file.write(f"end {name}\n")
    return name


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _is_begun(path: Path) -> Callable[[], bool]:
    return lambda: bool(_lines(path))


def test_a_worker_that_is_terminated_goes_at_once_and_nobody_suspects_its_block(
    scheduler: Scheduler, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    first = scheduler.worker("first")
    future = scheduler.client.submit(_work, str(done), str(tmp_path / "never"))
    toy.wait_until(_is_begun(done))
    scheduler.worker("second")
    first.send_signal(signal.SIGTERM)
    first.wait(120)
    assert future.result(timeout=120) == "second", "it was begun again elsewhere, though no failure is allowed"
    assert "end first" not in _lines(done)


def test_a_worker_that_is_warned_ends_its_block_and_takes_no_other(scheduler: Scheduler, tmp_path: Path) -> None:
    first = scheduler.worker("first")
    paths = [tmp_path / f"done-{index}" for index in range(3)]
    end = tmp_path / "end"
    futures = [scheduler.client.submit(_work, str(path), str(end), pure=False) for path in paths]
    done_by: list[str] = []

    def take(future: Any) -> None:
        done_by.append(future.result())
        futures.remove(future)  # as a run does, which keeps no result in a worker

    for future in tuple(futures):
        future.add_done_callback(take)
    del future
    toy.wait_until(lambda: any(map(_lines, paths)))
    first.send_signal(signal.SIGUSR1)
    scheduler.worker("second")
    toy.wait_until(lambda: scheduler.status("first") == "paused")
    end.touch()
    first.wait(120)
    toy.wait_until(lambda: len(done_by) == 3)
    assert sorted(done_by) == ["first", "second", "second"]
    assert sorted(line for path in paths for line in _lines(path)) == [
        "begin first", "begin second", "begin second", "end first", "end second", "end second"
    ]  # fmt: skip
    assert scheduler.names() == {"second"}


def test_a_block_that_outlasts_its_warning_is_suspected(scheduler: Scheduler, tmp_path: Path) -> None:
    """Otherwise one that no walltime can hold would be begun again for ever."""
    done = tmp_path / "done"
    first = scheduler.worker("first")
    future = scheduler.client.submit(_work, str(done), str(tmp_path / "never"))
    toy.wait_until(_is_begun(done))
    first.send_signal(signal.SIGUSR1)
    toy.wait_until(lambda: scheduler.status("first") == "paused")
    first.send_signal(signal.SIGTERM)
    first.wait(120)
    assert type(future.exception(timeout=120)).__name__ == "KilledWorker"


def test_a_worker_leaves_by_itself_when_its_time_is_over(scheduler: Scheduler) -> None:
    first = scheduler.start("first", seconds=0.1)
    assert first.wait(120) == 0, "though its time was over before it was there"
    toy.wait_until(lambda: not scheduler.names())


@pytest.mark.parametrize(("began", "left"), [("400.5", 200.0), ("100.5", 0.0), ("", 300.0), ("700.5", 300.0)])
def test_the_time_of_a_worker_counts_from_the_start_of_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: str, left: float
) -> None:
    """A job waits for its driver and a node loads libraries while its walltime runs."""
    (tmp_path / "uptime").write_text("500.50 900.12\n")
    monkeypatch.setattr(leaving, "_UPTIME", tmp_path / "uptime")
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    monkeypatch.setenv(LEAVE_AFTER, "300")
    monkeypatch.setenv(BEGAN, began)
    asked: list[float] = []
    leaving.arrange(SimpleNamespace(loop=SimpleNamespace(call_later=lambda seconds, call: asked.append(seconds))))
    assert asked == [left]
