"""Many jobs of one run on a real SLURM, each with a worker process of its own, all of them at a time."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import toy
from at_work import at_work
from private_slurm import PrivateSlurm, missing
from wrapped import Wrapped

from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.engine.workers.descriptors import EACH, OWN

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2400)]

MOST = 200
POLL = 15.0
#: Bytes of a job with its worker and what SLURM starts beside it, and those that stay free for everything else.
JOB, FREE = 95 * 2**20, 2 * 2**30
#: Workers that a processor starts in some minutes: each takes 2 to 4 s of it.
EACH_CORE = 100


def _jobs() -> int:
    """Return as many jobs as this machine bears at a time."""
    return min(MOST, EACH_CORE * (os.cpu_count() or 1), (psutil.virtual_memory().available - FREE) // JOB)


@pytest.fixture
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlurm]:
    if reason := missing():
        pytest.skip(reason)
    with at_work(PrivateSlurm(tmp_path_factory.mktemp("large"), cpus=MOST // 2 + 2, patience=300)) as cluster:
        yield cluster


def test_many_jobs_are_submitted_watched_and_ended(
    large: PrivateSlurm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """Each worker has a block that waits until all of them have been there for a while."""
    if (jobs := _jobs()) < 20:
        pytest.skip(f"memory for {jobs} workers")
    commands = Wrapped(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{commands.folder}{os.pathsep}{os.environ['PATH']}")
    frames, store = toy.write_frames(tmp_path / "frames.npy", 2 * jobs), tmp_path / "toy.zarr"
    cluster = {"kind": "slurm", "workers": jobs, "interface": "lo", "memory": "1 GiB", "poll_seconds": POLL}
    cluster["replace_after"] = 3600  # all of them start on few cores
    how = {"limits": {"isolate": False}, "params": toy.pausing(store, 1) | {"looks": 3.0}, "block_frames": 1}
    begun = time.monotonic()
    driver = toy.drive(toy.config(frames, store, cluster, **how))
    process = psutil.Process(driver.pid)
    _give_precedence(driver.pid)

    def present() -> int:
        with contextlib.suppress(OSError, ValueError):
            return sum(job["present"] for job in json.loads((tmp_path / "toy.stemdask/jobs.json").read_text())["jobs"])
        return 0

    toy.wait_until(lambda: driver.poll() is not None or present() == jobs or time.sleep(1), 1800)
    assert driver.poll() is None, toy.words_of(store)
    ramp, start = time.monotonic() - begun, _seconds(process)
    asked, when = commands.calls("squeue"), time.monotonic()
    time.sleep(4 * POLL)
    lasted = time.monotonic() - when
    looks = 60 * (commands.calls("squeue") - asked) / lasted
    load = (_seconds(process) - start) / lasted
    files, memory = process.num_fds(), process.memory_info().rss / 2**20
    own = sorted(one.memory_full_info().uss / 2**20 for one in _workers(tmp_path))
    toy.go_on(store)
    going = time.monotonic()
    assert driver.wait(600) == 0, toy.words_of(store)
    end = time.monotonic() - going
    assert large.client("squeue", "--noheader", "--states=PENDING,RUNNING").strip() == ""
    assert len(own) == jobs
    assert looks <= 60 / POLL + 2
    assert files <= OWN + EACH * jobs
    assert toy.frames_done_twice(store, {driver.pid}) == 0
    engine.execute(Document(toy.config(frames, tmp_path / "alone.zarr", block_frames=1)))
    assert toy.contents(store) == toy.contents(tmp_path / "alone.zarr")
    record_property(
        "figure",
        f"{jobs} jobs with a worker process each, all there after {ramp:.0f} s, for which the driver took {start:.0f} "
        f"s of a core; then {looks:.1f} squeue a minute, {100 * load:.0f} % of a core, {memory:.0f} MiB and {files} "
        f"descriptors of the driver; {own[len(own) // 2]:.0f} MiB of its own a worker; {2 * jobs} blocks done and all "
        f"jobs gone {end:.0f} s later; bytes equal; jobs left 0; frames done twice 0",
    )


def _seconds(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def _give_precedence(pid: int) -> None:
    """Let the scheduler of this machine treat a driver as if it weren't where all of its workers are."""
    with contextlib.suppress(OSError):  # no groups of sessions here, or not ours to change
        Path(f"/proc/{pid}/autogroup").write_text("-10")


def _workers(folder: Path) -> list[psutil.Process]:
    """Return the processes of workers that run as jobs of a run in a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            ours = "distributed.cli.dask_worker" in words and any(word.startswith(str(folder)) for word in words)
            if ours and Path(words[0]).name.startswith("python"):
                found.append(process)
    return found
