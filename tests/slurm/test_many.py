"""Many jobs of one run on a real SLURM; their workers share a process, so that one machine bears them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import farm
import psutil
import pytest
import toy
import yaml
from at_work import at_work
from private_slurm import PrivateSlurm, missing
from wrapped import Wrapped

from stemdask.engine.workers.descriptors import EACH, OWN

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]

#: As many as two busy cores start in minutes; the nodes, limits and deadlines are made for two hundred.
JOBS = 20
MOST = 200
POLL = 15.0


@pytest.fixture
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlurm]:
    if reason := missing():
        pytest.skip(reason)
    with at_work(PrivateSlurm(tmp_path_factory.mktemp("large"), cpus=MOST // 2, patience=300)) as cluster:
        yield cluster


@pytest.fixture
def hosted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let jobs start workers in one process beside them."""
    (tmp_path / "dask").mkdir()
    stub = farm.write_stub(tmp_path / "stub", tmp_path / "farm.socket")
    (tmp_path / "dask/jobqueue.yaml").write_text(yaml.safe_dump({"jobqueue": {"slurm": {"python": str(stub)}}}))
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask"))
    command = [sys.executable, farm.__file__, str(tmp_path / "farm.socket"), str(tmp_path)]
    with (tmp_path / "farm.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    toy.wait_until((tmp_path / "farm.socket").exists)
    yield
    process.kill()
    process.wait()


def test_many_jobs_are_submitted_watched_and_ended(
    large: PrivateSlurm,
    hosted: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    commands = Wrapped(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{commands.folder}{os.pathsep}{os.environ['PATH']}")
    frames, store = toy.write_frames(tmp_path / "frames.npy", 2 * JOBS), tmp_path / "toy.zarr"
    cluster = {"kind": "slurm", "workers": JOBS, "interface": "lo", "memory": "1 GiB", "poll_seconds": POLL}
    cluster["replace_after"] = 3600  # all of them start on two cores
    how = {"limits": {"isolate": False}, "params": {"seconds": 45.0}, "block_frames": 1}
    begun = time.monotonic()
    driver = toy.drive(toy.config(frames, store, cluster, **how))
    process = psutil.Process(driver.pid)

    def present() -> int:
        with contextlib.suppress(OSError, ValueError):
            return sum(job["present"] for job in json.loads((tmp_path / "toy.stemdask/jobs.json").read_text())["jobs"])
        return 0

    toy.wait_until(lambda: present() == JOBS or time.sleep(1), 600)
    ramp = time.monotonic() - begun
    asked, spent, when = commands.calls("squeue"), sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(2 * POLL)
    seconds = time.monotonic() - when
    looks = 60 * (commands.calls("squeue") - asked) / seconds
    load = (sum(process.cpu_times()[:2]) - spent) / seconds
    files, memory = process.num_fds(), process.memory_info().rss / 2**20
    assert driver.wait(600) == 0, toy.words_of(store)
    assert large.client("squeue", "--noheader", "--states=PENDING,RUNNING").strip() == ""
    assert looks <= 60 / POLL + 2
    assert files <= OWN + EACH * JOBS
    said = f"{JOBS} jobs: all there after {ramp:.0f} s; {looks:.1f} squeue a minute, {100 * load:.0f} % of a core, "
    record_property("figure", said + f"{memory:.0f} MiB and {files} descriptors of the driver")
