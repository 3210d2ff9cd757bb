"""Runs under a real SLURM: the same bytes, whatever happens to jobs, nodes and the driver."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import toy
from private_slurm import PrivateSlurm
from told import fault, same

from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.errors import ClusterError
from stemdask.results import reader

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]  # a busy machine starts jobs slowly

FRAMES = 48


def cluster(**changes: Any) -> dict[str, Any]:
    small = {"interface": "lo", "memory": "1200 MiB", "walltime": "00:10:00", "poll_seconds": 1, "workers_timeout": 90}
    return {"kind": "slurm", "workers": 2} | small | changes


def _pausing(frames: Path, store: Path, **changes: Any) -> dict[str, Any]:
    """Return a config whose run waits once two blocks are done, until `toy.go_on`."""
    return toy.config(
        frames, store, cluster(**changes), params=toy.pausing(store), limits={"isolate": True, "frame_seconds": 600.0}
    )


def _jobs(slurm: PrivateSlurm, state: str = "RUNNING") -> list[str]:
    return slurm.client("squeue", "--noheader", f"--states={state}", "--format=%i %j", check=False).splitlines()


def _worker_jobs(slurm: PrivateSlurm) -> list[str]:
    return [line.split()[0] for line in _jobs(slurm) if line.split()[1][-1].isdigit() and line.count("-") >= 4]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_run_on_slurm_gives_the_bytes_of_an_inline_one(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    workers: int,
    record_property: Callable[[str, object], None],
) -> None:
    store = tmp_path / "slurm.zarr"
    outcome = engine.execute(Document(toy.config(frames, store, cluster(workers=workers))))
    assert outcome.complete
    assert toy.contents(store) == undisturbed
    record_property("figure", same(f"SLURM, {workers} worker{'s' if workers > 1 else ''}", undisturbed))
    places = set(reader.open_results(store)["frames"]["worker"].values)
    assert all(place.startswith("node") and " job " in place for place in places)
    assert not (tmp_path / "slurm.stemdask" / "tls").exists()
    assert _worker_jobs(slurm) == []


@pytest.mark.parametrize("per_job", [2, pytest.param("node", marks=pytest.mark.slow)])
def test_several_workers_in_a_job_give_the_same_bytes(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    per_job: Any,
    record_property: Callable[[str, object], None],
) -> None:
    store = tmp_path / "several.zarr"
    more = {"memory": "2400 MiB"} if per_job == 2 else {"memory": None}
    outcome = engine.execute(Document(toy.config(frames, store, cluster(workers=4, workers_per_job=per_job, **more))))
    assert outcome.complete
    assert toy.contents(store) == undisturbed
    record_property("figure", same(f"SLURM, 4 workers in two jobs (workers_per_job: {per_job})", undisturbed))
    assert len(list((tmp_path / "several.stemdask" / "jobs").glob("*.log"))) == 2
    told = (tmp_path / "several.stemdask" / "jobs.jsonl").read_text().splitlines()
    assert len(told) == 4, "workers that left by themselves"
    assert _worker_jobs(slurm) == []


def test_cancelled_workers_are_replaced_and_nothing_is_lost(
    slurm: PrivateSlurm, frames: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    store = tmp_path / "cancelled.zarr"
    driver = toy.drive(_pausing(frames, store))
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    toy.wait_until(lambda: _worker_jobs(slurm))
    victims = _worker_jobs(slurm)[:1]
    slurm.client("scancel", *victims)
    log = tmp_path / "cancelled.stemdask" / "log"
    toy.wait_until(lambda: f"job {victims[0]} of slot" in log.read_text())
    toy.go_on(store)
    assert driver.wait(250) == 0, toy.words_of(store)
    assert toy.contents(store) == undisturbed
    assert ", attempt 2" in log.read_text()


def test_a_dead_node_costs_no_frame(
    slurm: PrivateSlurm, frames: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    store = tmp_path / "dead.zarr"
    driver = toy.drive(_pausing(frames, store, workers=4))
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    toy.wait_until(lambda: len(_worker_jobs(slurm)) == 4)
    slurm.kill_node("node2")
    toy.go_on(store)
    try:
        assert driver.wait(250) == 0, toy.words_of(store)
    finally:
        slurm.revive_node("node2")
    assert toy.contents(store) == undisturbed


@pytest.mark.slow
def test_a_driver_told_to_stop_saves_its_state_and_goes_on_later(
    slurm: PrivateSlurm, frames: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    store = tmp_path / "stopped.zarr"
    data = _pausing(frames, store)
    driver = toy.drive(data)
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    driver.send_signal(signal.SIGTERM)
    toy.go_on(store)
    assert driver.wait(120) == 75, toy.words_of(store)
    assert _worker_jobs(slurm) == []
    assert toy.drive(data).wait(200) == 0, toy.words_of(store)
    assert toy.contents(store) == undisturbed


def test_jobs_that_a_killed_driver_left_are_ended_by_the_next_one(
    slurm: PrivateSlurm, frames: Path, tmp_path: Path
) -> None:
    store = tmp_path / "killed.zarr"
    data = _pausing(frames, store)
    driver = toy.drive(data)
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    left = _worker_jobs(slurm)
    driver.kill()
    driver.wait()
    assert left
    toy.go_on(store)
    assert toy.drive(data).wait(200) == 0, toy.words_of(store)
    assert not set(left) & set(_worker_jobs(slurm))


def test_a_job_that_slurm_refuses_ends_the_run_with_its_words(
    slurm: PrivateSlurm, frames: Path, tmp_path: Path
) -> None:
    data = toy.config(frames, tmp_path / "refused.zarr", cluster(partition="nowhere"))
    with pytest.raises(ClusterError, match="invalid partition") as caught:
        engine.execute(Document(data))
    assert caught.value.exit_code == 5


def test_a_job_that_can_never_start_ends_the_run_with_its_reason(
    slurm: PrivateSlurm, frames: Path, tmp_path: Path
) -> None:
    data = toy.config(frames, tmp_path / "closed.zarr", cluster(partition="closed", walltime="00:05:00"))
    with pytest.raises(ClusterError, match=r"PartitionDown|required partition not available"):
        engine.execute(Document(data))
    assert _jobs(slurm, "PENDING") == []


@pytest.mark.slow
def test_workers_that_never_come_end_the_run_in_time_with_what_the_queue_says(
    slurm: PrivateSlurm, frames: Path, tmp_path: Path
) -> None:
    hog = slurm.client(
        "sbatch", "--parsable", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap", "sleep 600"
    ).strip()
    try:
        toy.wait_until(lambda: any(line.startswith(hog) for line in _jobs(slurm)))
        data = toy.config(frames, tmp_path / "queue.zarr", cluster(workers_timeout=20))
        with pytest.raises(ClusterError, match=r"no worker for 20 s \(2 jobs pending: (Resources|Priority)"):
            engine.execute(Document(data))
    finally:
        slurm.client("scancel", hog)


@pytest.mark.slow
def test_nothing_unencrypted_listens_beyond_loopback(slurm: PrivateSlurm, frames: Path, tmp_path: Path) -> None:
    store = tmp_path / "ports.zarr"
    driver = toy.drive(_pausing(frames, store))
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    ours = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
    ours += [p for p in psutil.process_iter() if "distributed.cli.dask_worker" in " ".join(_words(p))]
    listening = {c.laddr.ip for p in ours for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    keys = tmp_path / "ports.stemdask" / "tls"
    modes = {path.stat().st_mode & 0o777 for path in keys.iterdir()}
    arguments = " ".join(word for p in ours for word in _words(p))
    driver.terminate()
    toy.go_on(store)
    driver.wait(120)
    assert listening <= {"127.0.0.1", "::1"}
    assert modes == {0o600}
    assert "PRIVATE KEY" not in arguments


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_leave_before_their_walltime_and_are_replaced(
    slurm: PrivateSlurm, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Five minutes of work in jobs of one."""
    frames = toy.write_frames(tmp_path / "many.npy", 300)
    store, alone = tmp_path / "walltime.zarr", tmp_path / "alone.zarr"
    short = cluster(partition="short", walltime="00:01:00", workers=2)
    toy.go_on(store)  # no pause, but what is begun is written down
    driver = toy.drive(toy.config(frames, store, short, params={"seconds": 1.0, **toy.pausing(store)}))
    assert driver.wait(1500) == 0, toy.words_of(store)  # on a busy machine half of a job's minute is its start
    engine.execute(Document(toy.config(frames, alone)))
    assert toy.contents(store) == toy.contents(alone)
    assert _worker_jobs(slurm) == []
    states = {line.split()[0] for line in _jobs(slurm, "TIMEOUT")}
    assert states == set(), "workers were killed at their walltime instead of leaving"
    assert len(list((tmp_path / "walltime.stemdask" / "jobs").glob("*.log"))) > 2
    record_property("figure", fault([0], toy.frames_done_twice(store, {driver.pid})))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
