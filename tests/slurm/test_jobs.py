"""The job scripts that a user hands in, as they are, under a real SLURM; and a scheduler of the user's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import yaml
from private_slurm import PrivateSlurm
from told import fault, same

from stemdask.config import document as configs
from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.engine.workers import keys
from stemdask.errors import ClusterError
from stemdask.store.lock import holder

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]  # a busy machine starts jobs slowly

JOBS = Path(__file__).parents[2] / "jobs"
FRAMES = 24
BLOCKS = FRAMES // 4
INLINE = {"kind": "inline"}


@pytest.fixture(scope="module", autouse=True)
def _stemdask_in_path(slurm: PrivateSlurm) -> Iterator[None]:
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before}"
    yield
    os.environ["PATH"] = before


def _write(folder: Path, frames: Path, cluster: dict[str, Any] | None = None, **params: Any) -> Path:
    """Write a config whose store is `toy.zarr` beside it."""
    data = toy.config(frames, folder / "toy.zarr", cluster or INLINE, params=params)
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def _sbatch(slurm: PrivateSlurm, folder: Path, *arguments: str) -> str:
    return slurm.client("sbatch", "--parsable", f"--chdir={folder}", *arguments).strip()


def _state(slurm: PrivateSlurm, job: str) -> str:
    return slurm.client("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T", check=False).strip()


def _ends(slurm: PrivateSlurm, job: str, seconds: float = 200) -> str:
    """Wait for a job, all tasks of an array; return its states."""
    going = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED")
    toy.wait_until(lambda: not any(word in _state(slurm, job) for word in going), seconds)
    return _state(slurm, job)


def _words(folder: Path) -> str:
    logs = [*folder.glob("*.log"), *folder.glob("toy.stemdask/*.log"), *folder.glob("toy.stemdask/jobs/*.log")]
    return "\n".join(f"{path.name}:\n{path.read_text()}" for path in logs)


def _session(folder: Path) -> int:
    """Return the session of the driver that is at work."""
    return os.getsid(int((folder / "toy.stemdask/lock").read_text().split()[1]))


def _requeued(slurm: PrivateSlurm, job: str, seconds: float = 90) -> None:
    """Wait until a job is back in the queue, and spare it the two minutes that SLURM lets it wait there.

    Some seconds are left for the node to end the first attempt: one begun sooner is refused by it.
    """
    toy.wait_until(lambda: _state(slurm, job) == "PENDING", seconds)
    slurm.client("scontrol", "update", f"jobid={job}", "StartTime=now+3", check=False)


def test_the_driver_template_runs_a_config(
    slurm: PrivateSlurm, frames: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    _write(tmp_path, frames, {"kind": "processes", "workers": 1})
    job = _sbatch(slurm, tmp_path, str(JOBS / "driver.sbatch"), "run.yaml", "--no-report")
    assert _ends(slurm, job) == "COMPLETED", _words(tmp_path)
    assert toy.contents(tmp_path / "toy.zarr") == undisturbed


@pytest.mark.slow
def test_a_driver_job_that_is_told_to_stop_goes_back_into_the_queue_and_completes(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    record_property: Callable[[str, object], None],
) -> None:
    store = tmp_path / "toy.zarr"
    _write(tmp_path, frames, **toy.pausing(store))
    job = _sbatch(slurm, tmp_path, str(JOBS / "driver.sbatch"), "run.yaml", "--no-report")
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    slurm.client("scancel", "--signal=TERM", "--batch", job)
    _requeued(slurm, job)
    toy.go_on(store)
    assert 2 <= toy.blocks_done(store) < BLOCKS
    assert _ends(slurm, job) == "COMPLETED", _words(tmp_path)
    said = (tmp_path / f"stemdask-{job}.log").read_text()
    assert "stopped by SIGTERM" in said
    assert "complete: 24 ok" in said, "the log of the first attempt is kept, that of the second is added"
    assert toy.contents(store) == undisturbed
    record_property("figure", fault([75, 0], None))


def test_an_allocation_runs_its_workers_as_steps(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    record_property: Callable[[str, object], None],
) -> None:
    _write(tmp_path, frames)
    two_nodes = ("--nodes=2", "--ntasks=4", "--ntasks-per-node=2")
    job = _sbatch(slurm, tmp_path, *two_nodes, str(JOBS / "allocation.sbatch"), "run.yaml", "--no-report")
    assert _ends(slurm, job) == "COMPLETED", _words(tmp_path)
    assert toy.contents(tmp_path / "toy.zarr") == undisturbed
    logs = [path.name for path in (tmp_path / "toy.stemdask" / "jobs").glob("*.log")]
    assert len(logs) == 4, "one step a task"
    assert "node2" in slurm.client("scontrol", "show", "hostnames", _nodes(slurm, job))
    record_property("figure", same("an allocation over two nodes, four workers as steps", undisturbed))


@pytest.mark.slow
def test_a_step_of_an_allocation_is_killed(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    record_property: Callable[[str, object], None],
) -> None:
    """The driver is a step of the same job, and neither it nor the other workers are harmed."""
    store = tmp_path / "toy.zarr"
    _write(tmp_path, frames, **toy.pausing(store))
    two_nodes = ("--nodes=2", "--ntasks=4", "--ntasks-per-node=2")
    job = _sbatch(slurm, tmp_path, *two_nodes, str(JOBS / "allocation.sbatch"), "run.yaml", "--no-report")
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    drivers = {_session(tmp_path)}
    steps = slurm.client("squeue", "--steps", "--noheader", f"--jobs={job}", "--format=%i").split()
    numbered = [step for step in steps if step.rpartition(".")[2].isdecimal()]
    slurm.client("scancel", "--signal=KILL", numbered[-1])
    toy.go_on(store)
    assert _ends(slurm, job) == "COMPLETED", _words(tmp_path)
    assert toy.contents(store) == undisturbed
    again = toy.frames_done_twice(store, drivers)
    assert again <= 4
    record_property("figure", fault([0], again))


def _nodes(slurm: PrivateSlurm, job: str) -> str:
    return slurm.client("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%N").strip()


@pytest.mark.slow
def test_an_array_does_its_parts_side_by_side_and_a_last_run_ends_the_store(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.setenv("BLOCKS", "2")
    _write(tmp_path, frames)
    job = _sbatch(slurm, tmp_path, "--array=0-2", str(JOBS / "array.sbatch"), "run.yaml", "--no-report")
    last = _sbatch(
        slurm, tmp_path, f"--dependency=afterany:{job}", str(JOBS / "driver.sbatch"), "run.yaml", "--no-report"
    )
    assert _ends(slurm, job).split() == ["COMPLETED"] * 3, _words(tmp_path)
    assert _ends(slurm, last) == "COMPLETED", _words(tmp_path)
    assert toy.contents(tmp_path / "toy.zarr") == undisturbed
    record_property("figure", same("a job array of three tasks, and a last run", undisturbed))
    assert "complete: 24 ok; 0 frames done" in (tmp_path / f"stemdask-{last}.log").read_text()


def _particles(path: Path) -> Path:
    """Write twelve small particles."""
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) * 2.8
    lines = []
    for _ in range(12):
        lines += [f"{len(grid)}", ""]
        lines += [f"Pt {x:.5f} {y:.5f} {z:.5f}" for x, y, z in grid + rng.normal(0, 0.05, grid.shape)]
    path.write_text("\n".join(lines) + "\n")
    return path


def _write_analysis(folder: Path, particles: Path, cluster: dict[str, Any]) -> Path:
    """Write a config of the coordination of particles, whose store is `toy.zarr` beside it."""
    folder.mkdir(exist_ok=True)
    data = {"input": {"path": str(particles)}, "output": str(folder / "toy.zarr"), "analyses": {"coordination": {}}}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(data | {"cluster": cluster, "block_frames": 4}))
    return path


def _submit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stemdask", "submit", "run.yaml", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)


def test_submit_hands_in_a_driver_whose_workers_are_jobs(
    slurm: PrivateSlurm, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    workers = {"kind": "slurm", "workers": 2, "interface": "lo", "memory": "1200 MiB", "poll_seconds": 1}
    particles = _particles(tmp_path / "particles.xyz")
    engine.execute(configs.read(_write_analysis(tmp_path / "alone", particles, INLINE)))
    _write_analysis(tmp_path, particles, workers)
    shown = _submit(tmp_path, "--dry-run", "--directive=--comment=mine")
    script = tmp_path / "toy.stemdask" / "driver.sbatch"
    assert shown.returncode == 0, shown.stderr
    assert script.read_text() in shown.stdout
    assert "#SBATCH --comment=mine" in shown.stdout
    assert not (tmp_path / "toy.zarr").exists()
    done = _submit(tmp_path)
    assert done.returncode == 0, done.stderr
    job = done.stdout.split("job ")[-1].split(";")[0]
    assert job.isdecimal()
    assert f"stemdask status {tmp_path / 'toy.zarr'}" in done.stdout
    assert _ends(slurm, job) == "COMPLETED", _words(tmp_path)
    said = (tmp_path / "toy.stemdask" / f"driver-{job}.log").read_text()
    assert "complete: 12 ok" in said
    assert "distributed" not in said, "what Dask says is kept in the log of the run"
    assert Path(said.partition("report: ")[2].splitlines()[0]).exists()
    assert toy.contents(tmp_path / "toy.zarr") == toy.contents(tmp_path / "alone" / "toy.zarr")
    record_property("figure", same("SLURM, driver and workers in jobs (submit)", toy.contents(tmp_path / "toy.zarr")))


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_driver_whose_node_dies_goes_on_on_another(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    record_property: Callable[[str, object], None],
) -> None:
    store = tmp_path / "toy.zarr"
    workers = {"kind": "slurm", "workers": 2, "interface": "lo", "memory": "1200 MiB", "poll_seconds": 1}
    _write(tmp_path, frames, workers, **toy.pausing(store))
    done = _submit(tmp_path)
    assert done.returncode == 0, done.stderr
    job = done.stdout.split("job ")[-1].split(";")[0]
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    drivers = {os.getsid(0), _session(tmp_path)}  # that of `submit`, which tries frames, too
    (first,) = slurm.client("squeue", "--noheader", f"--jobs={job}", "--format=%N").split()
    slurm.kill_node(first)
    try:
        _requeued(slurm, job, 200)
        toy.wait_until(lambda: _state(slurm, job) == "RUNNING")
        toy.wait_until(lambda: holder(tmp_path / "toy.stemdask"))
        drivers.add(_session(tmp_path))
        toy.go_on(store)
        (second,) = slurm.client("squeue", "--noheader", f"--jobs={job}", "--format=%N").split()
        assert _ends(slurm, job) == "COMPLETED", _words(tmp_path)
    finally:
        slurm.revive_node(first)
    assert second != first
    assert toy.contents(store) == undisturbed
    assert slurm.client("squeue", "--noheader", "--states=PENDING,RUNNING").strip() == "", "a ghost is left"
    again = toy.frames_done_twice(store, drivers)
    assert again <= 2 * 4
    record_property("figure", fault([-9, 0], again))


@pytest.mark.slow
def test_a_second_driver_of_a_store_ends_and_is_not_requeued(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    record_property: Callable[[str, object], None],
) -> None:
    store = tmp_path / "toy.zarr"
    workers = {"kind": "slurm", "workers": 1, "interface": "lo", "memory": "1200 MiB", "poll_seconds": 1}
    _write(tmp_path, frames, workers, **toy.pausing(store))
    done = _submit(tmp_path)
    assert done.returncode == 0, done.stderr
    first = done.stdout.split("job ")[-1].split(";")[0]
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    drivers = {os.getsid(0), _session(tmp_path)}
    second = _sbatch(slurm, tmp_path, str(tmp_path / "toy.stemdask/driver.sbatch"))
    assert _ends(slurm, second) == "FAILED"
    assert "another run is writing this store" in (tmp_path / f"toy.stemdask/driver-{second}.log").read_text()
    assert "Restarts=0" in slurm.client("scontrol", "show", "job", second)
    toy.go_on(store)
    assert _ends(slurm, first) == "COMPLETED", _words(tmp_path)
    assert toy.contents(store) == undisturbed
    again = toy.frames_done_twice(store, drivers)
    assert again == 0
    record_property("figure", fault([0], again))


def test_submit_says_what_slurm_refuses(slurm: PrivateSlurm, frames: Path, tmp_path: Path) -> None:
    _write(tmp_path, frames)
    refused = _submit(tmp_path, "--directive=--partition=nowhere")
    assert refused.returncode == ClusterError.exit_code
    assert "invalid partition" in refused.stderr


def _written_address(file: Path) -> str:
    """Return the address in a scheduler's file; empty while the file isn't whole."""
    try:
        return str(json.loads(file.read_text())["address"])
    except (OSError, ValueError):
        return ""


@pytest.mark.parametrize("found_by", ["file", "address"])
def test_the_workers_of_a_running_scheduler_do_the_work_over_tls(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    found_by: str,
    record_property: Callable[[str, object], None],
) -> None:
    folder = tmp_path / "keys"
    keys.make(folder)
    tls = [f"--tls-{part.replace('_', '-')}={folder / name}" for part, name in keys.FILES.items()]
    file = tmp_path / "scheduler.json"
    more = [f"--scheduler-file={file}", "--no-dashboard", *tls]
    python = [sys.executable, "-m"]
    scheduler = [*python, "distributed.cli.dask_scheduler", "--host=127.0.0.1", "--port=0", "--protocol=tls", *more]
    worker = [*python, "distributed.cli.dask_worker", "--host=127.0.0.1", "--no-nanny", "--nthreads=1", *more]
    with (tmp_path / "dask.log").open("wb") as said:
        started = [subprocess.Popen(one, cwd=tmp_path, stdout=said, stderr=said) for one in (scheduler, worker)]
    try:
        if found_by == "address":
            toy.wait_until(lambda: _written_address(file))
        where = {"scheduler_file": str(file)} if found_by == "file" else {"scheduler": _written_address(file)}
        cluster = {"kind": "address", "tls_directory": str(folder), "workers_timeout": 60, **where}
        data = toy.config(frames, tmp_path / "toy.zarr", INLINE) | {"cluster": cluster}
        outcome = engine.execute(Document(data))
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)
    assert outcome.complete
    assert toy.contents(tmp_path / "toy.zarr") == undisturbed
    record_property("figure", same(f"a running scheduler, found by its {found_by}", undisturbed))


@pytest.mark.slow
def test_status_knows_a_driver_in_the_queue_and_at_work_and_says_at_the_end_what_was_used(
    slurm: PrivateSlurm, tmp_path: Path
) -> None:
    workers = {"kind": "slurm", "workers": 2, "interface": "lo", "memory": "1200 MiB", "poll_seconds": 1}
    _write_analysis(tmp_path, _particles(tmp_path / "particles.xyz"), workers)
    slurm.client("scontrol", "update", "partitionname=normal", "state=inactive")
    try:
        done = _submit(tmp_path)
        assert "accepts no jobs at the moment" in done.stderr
    finally:
        slurm.client("scontrol", "update", "partitionname=normal", "state=up")
    held = _submit(tmp_path, "--directive=--hold")
    assert held.returncode == 0, held.stderr
    job = held.stdout.split("job ")[-1].split(";")[0]
    assert f"driver: job {job} pending (JobHeldUser)" in _status(tmp_path)
    slurm.client("scontrol", "release", job)
    followed = _status(tmp_path, "--follow")
    assert "driver: running, process " in followed
    assert f"driver: not running; its job {job} is COMPLETED" in followed
    assert "complete, 12 of 12 frames done" in followed
    assert "used: 2 workers" in followed
    assert "next time: memory: " in followed


def _status(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "stemdask", "status", "toy.zarr", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({"workers": {"min": 3, "max": 2}}, "min (3) is more than max (2)"),
        ({"partition": "nowhere"}, "there is no partition 'nowhere'; allowed: closed, normal, short, urgent"),
        ({"memory": "900 GiB"}, "no node of normal has 900 GiB; allowed: at most 8 GiB"),
        ({"memory": "1 MiB"}, "1 MiB is too little for a worker; allowed: 1 GiB or more"),
        ({"partition": "short", "walltime": "00:10:00"}, "00:10:00 is too long for short; allowed: at most 00:01:00"),
        ({"qos": "golden", "reservation": "none"}, "SLURM refuses a worker's job: "),
    ],
)
@pytest.mark.parametrize("verb", ["check", pytest.param("submit", marks=pytest.mark.slow)])
def test_what_slurm_would_refuse_is_said_before_with_what_it_allows(
    slurm: PrivateSlurm, tmp_path: Path, verb: str, cluster: dict[str, Any], said: str
) -> None:
    _write_analysis(tmp_path, _particles(tmp_path / "particles.xyz"), {"kind": "slurm"} | cluster)
    command = [sys.executable, "-m", "stemdask", verb, "run.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert not (tmp_path / "toy.stemdask").exists()


def test_doctor_shows_partitions_and_a_profile_that_runs(
    slurm: PrivateSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    command = [sys.executable, "-m", "stemdask", "doctor", "--cluster"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=True).stdout
    assert "short" in shown
    assert "00:01:00" in shown
    profiles = tmp_path / "home/stemdask/profiles.yaml"
    profiles.parent.mkdir(parents=True)
    profiles.write_text(shown[shown.index("# A first profile") :])
    _write_analysis(tmp_path, _particles(tmp_path / "particles.xyz"), {"kind": "processes", "workers": 2})
    command = [sys.executable, "-m", "stemdask", "check", "run.yaml", "--profile", "here"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
