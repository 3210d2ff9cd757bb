"""The scripts of a run that is submitted: every key of a site reaches both, and what a queue would refuse is said."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import dask.config
import pytest
import toy
import yaml

from stemdask.config.clusters import Batch
from stemdask.config.document import Document
from stemdask.engine.queues import preflight, submit
from stemdask.engine.queues.jobs import Jobs
from stemdask.engine.queues.queue import Partition, Queue
from stemdask.engine.queues.slurm import QUEUE
from stemdask.errors import ClusterError, ConfigError
from stemdask.planning.resolve import resolve

#: Every key of jobqueue.yaml for SLURM but those that name jobs and processes, which are stemdask's to decide.
SITE: dict[str, Any] = {
    "queue": "long",
    "account": "project-7",
    "walltime": "3:00:00",
    "cores": 4,
    "memory": "6 GiB",
    "job-cpu": 5,
    "job-mem": "7G",
    "interface": "lo",
    "local-directory": "$SCRATCH",
    "log-directory": "{folder}/logs",
    "death-timeout": 77,
    "worker-extra-args": ["--resources", "tmp=1"],
    "job-script-prologue": ["ml purge && ml python", "export TMPDIR=$SCRATCH"],
    "job-extra-directives": ["--clusters=big"],
    "job-directives-skip": ["--open-mode", "-n 1"],
    "python": "/opt/env/bin/python",
    "shebang": "#!/bin/bash -l",
    "scheduler-options": {"port": 8799},
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a config on a machine without a batch system, with the file of a site."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask.config, "paths", [str(tmp_path / "dask")])
    (tmp_path / "dask").mkdir()
    frames = toy.write_frames(tmp_path / "frames.npy", 8)
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(toy.config(frames, tmp_path / "toy.zarr", "slurm")))
    return path


def _scripts(config: Path, site: dict[str, Any], **cluster: Any) -> tuple[list[str], list[str]]:
    """Return the lines of the worker's and of the driver's script."""
    (config.parent / "dask" / "jobqueue.yaml").write_text(yaml.safe_dump({"jobqueue": {"slurm": site}}))
    data = yaml.safe_load(config.read_text())
    data["cluster"] |= cluster
    written = submit.write(config, Document(data))
    return written.worker.splitlines(), written.text.splitlines()


def test_every_key_of_a_sites_file_reaches_both_scripts(config: Path) -> None:
    folder = config.parent
    site = SITE | {"log-directory": f"{folder}/logs"}
    assert len(site) == 18
    worker, driver = _scripts(config, site)
    start = worker[-1]
    in_worker = {
        "queue": "#SBATCH -p long" in worker,
        "account": "#SBATCH -A project-7" in worker,
        "walltime": "#SBATCH -t 03:00:00" in worker,
        "job-cpu": "#SBATCH --cpus-per-task=5" in worker,
        "job-mem": "#SBATCH --mem=7G" in worker,
        "interface": "--interface lo" in start,
        "local-directory": "--local-directory $SCRATCH" in start,
        "log-directory": f"#SBATCH -o {folder}/logs/%j.log" in worker,
        "death-timeout": "--death-timeout 77" in start,
        "worker-extra-args": "--resources tmp=1" in start,
        "job-script-prologue": worker.index("ml purge && ml python") < worker.index("export TMPDIR=$SCRATCH"),
        "job-extra-directives": "#SBATCH --clusters=big" in worker,
        "job-directives-skip": not any("--open-mode" in line or line == "#SBATCH -n 1" for line in worker),
        "python": start.startswith("exec /opt/env/bin/python -m distributed.cli.dask_worker"),
        "shebang": worker[0] == "#!/bin/bash -l",
    }
    assert [key for key, reached in in_worker.items() if not reached] == []
    in_driver = {
        "queue": "#SBATCH --partition=long" in driver,
        "account": "#SBATCH --account=project-7" in driver,
        "log-directory": f"#SBATCH --output={folder}/logs/driver-%j.log" in driver,
        "job-script-prologue": driver.index("ml purge && ml python") < driver.index("set -eo pipefail"),
        "job-extra-directives": "#SBATCH --clusters=big" in driver,
        "job-directives-skip": not any("--open-mode" in line for line in driver),
        "python": any(" /opt/env/bin/python -m stemdask run" in line for line in driver),
        "shebang": driver[0] == "#!/bin/bash -l",
    }
    assert [key for key, reached in in_driver.items() if not reached] == []


def test_cores_and_memory_of_a_site_hold_where_it_says_nothing_more_precise(config: Path) -> None:
    worker, _ = _scripts(config, {"cores": 4, "memory": "6 GiB"})
    assert "#SBATCH --cpus-per-task=4" in worker
    assert "#SBATCH --mem=6144M" in worker


@pytest.mark.parametrize("cluster", [{}, {"cores": 8}, {"workers_per_job": 4}])
def test_a_worker_has_one_thread_whatever_its_job_has(config: Path, cluster: dict[str, Any]) -> None:
    """So that two frames never share the memory that one may take, nor a kernel that is not safe for threads."""
    worker, _ = _scripts(config, {"cores": 4, "worker-extra-args": ["--nthreads", "3"]}, **cluster)
    (start,) = [line for line in worker if "dask_worker" in line]
    words = start.split()
    assert [after for word, after in pairwise(words) if word == "--nthreads"][-1] == "1"
    assert "export OMP_NUM_THREADS=1" in worker
    assert "export NUMBA_NUM_THREADS=1" in worker


def test_the_scheduler_listens_where_the_site_says_and_shows_its_dashboard_to_nobody(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stemdask.engine.queues import jobqueue

    asked: dict[str, Any] = {}
    monkeypatch.setattr(jobqueue, "_class", lambda queue: lambda **keywords: asked.update(keywords))
    options = {"scheduler_options": {"port": 8799, "dashboard_address": ":8787"}}
    of_the_site = Batch(kind="slurm").model_copy(update={"options": options})
    jobqueue.scheduler(QUEUE, of_the_site, 2**31, None)
    assert asked["scheduler_options"] == {"port": 8799, "dashboard_address": "127.0.0.1:0"}


def test_keys_of_the_config_reach_both_scripts_and_resources_the_workers_alone(config: Path) -> None:
    keys = {"qos": "high", "constraint": "[a|b]&c", "reservation": "beam", "account": "mine"}
    more = {"gres": "tmpdisk:20", "licenses": "x:1", "mail": "me@lab.org", "prologue": ["module load gcc"]}
    worker, driver = _scripts(config, {}, **keys, **more, job_extra_directives=["--nice=5"])
    for lines in (worker, driver):
        for text in ("--qos=high", "--constraint=[a|b]&c", "--reservation=beam", "--nice=5"):
            assert f"#SBATCH {text}" in lines
        assert "module load gcc" in lines
    assert {"#SBATCH --gres=tmpdisk:20", "#SBATCH --licenses=x:1"} <= set(worker) - set(driver)
    assert {"#SBATCH --mail-user=me@lab.org", "#SBATCH --mail-type=END,FAIL"} <= set(driver) - set(worker)


def test_a_driver_asks_for_its_work_and_the_patience_of_its_workers(config: Path) -> None:
    _, driver = _scripts(config, {}, workers_timeout=7200)
    assert "#SBATCH --time=02:30:00" in driver


def test_a_driver_asks_for_no_more_than_its_partition_allows(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its workers may wait: it goes on in another job, and they keep their place."""
    _has_partitions(monkeypatch)
    _, driver = _scripts(config, {}, workers_timeout=86400)
    assert "#SBATCH --time=02:00:00" in driver
    _, driver = _scripts(config, {}, workers_timeout=86400, partition="long")
    assert "#SBATCH --time=1-00:30:00" in driver or "#SBATCH --time=24:30:00" in driver


@pytest.mark.parametrize("verb", ["check", "submit"])
def test_a_queue_is_asked_about_both_scripts(config: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    _has_partitions(monkeypatch)
    asked: list[str] = []

    def refuse(self: Jobs, script: str) -> None:
        asked.append(script)
        raise ClusterError("SLURM refused the job", value=f"no {len(asked)}")

    monkeypatch.setattr(Jobs, "test", refuse)
    data = yaml.safe_load(config.read_text())
    data["cluster"]["workers_per_job"] = "node"
    document = Document(data)
    if verb == "check":
        found = submit.check(resolve(document))
    else:
        with pytest.raises(ConfigError) as caught:
            submit.write(config, document)
        found = list(caught.value.problems)
        assert not (config.parent / "toy.stemdask").exists()
    assert found == [
        "cluster: SLURM refuses a worker's job: no 1",
        "cluster: SLURM refuses the driver's job: no 2",
    ]
    assert "distributed.cli.dask_worker" in asked[0]
    assert "-m stemdask run" in asked[1]
    assert ["--exclusive" in script for script in asked] == [True, False], "a driver needs no node for itself"


def _has_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands of a queue be there, which lists `PARTITIONS` and would take everything."""
    monkeypatch.setattr(Queue, "missing", lambda self: [])
    monkeypatch.setattr(Jobs, "partitions", lambda self: PARTITIONS)
    monkeypatch.setattr(Jobs, "test", lambda self, script: None)


def test_the_driver_reads_the_config_as_it_was_submitted(config: Path) -> None:
    options = ["--profile", "hpc", "--set=analyses.toy.factor=2; reboot"]
    written = submit.write(config, Document(yaml.safe_load(config.read_text())), options=options)
    (command,) = [line for line in written.text.splitlines() if "stemdask run" in line]
    assert shlex.split(command)[-4:-1] == options


PARTITIONS = [
    Partition("normal", True, True, 7200.0, 16, 64 * 2**30, 10),
    Partition("long", True, False, float("inf"), 8, 32 * 2**30, 2),
    Partition("closed", False, False, 600.0, 2, 8 * 2**30, 2),
]


@pytest.mark.parametrize(
    ("cluster", "memory", "said"),
    [
        ({}, 4 * 2**30, []),
        ({"partition": "long", "walltime": "9-00:00:00"}, 4 * 2**30, []),
        ({"partition": "normal,long", "walltime": "9-00:00:00"}, 60 * 2**30, []),
        (
            {"partition": "lon"},
            2**32,
            ["cluster.partition: there is no partition 'lon'; allowed: closed, long, normal"],
        ),
        ({"partition": "closed", "walltime": "00:10:00"}, 2**32, ["cluster.partition: closed accepts no jobs"]),
        ({}, 900 * 2**30, ["cluster.memory: no node of normal has 900 GiB; allowed: at most 64 GiB"]),
        ({"cores": 17}, 2**32, ["cluster.cores: no node of normal has 17 cores; allowed: at most 16"]),
        (
            {"walltime": "02:00:01"},
            2**32,
            ["cluster.walltime: 02:00:01 is too long for normal; allowed: at most 02:00:00"],
        ),
    ],
)
def test_what_no_partition_has_is_said_with_what_it_has(cluster: dict[str, Any], memory: int, said: list[str]) -> None:
    found = list(preflight._beyond(PARTITIONS, Batch(kind="slurm", **cluster), memory))
    assert len(found) == len(said)
    assert all(one.startswith(text) for one, text in zip(found, said, strict=True))


@pytest.mark.parametrize(("cluster", "per_job"), [({}, 16), ({"partition": "long"}, 8)])
def test_whole_nodes_are_filled_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, cluster: dict[str, Any], per_job: int
) -> None:
    monkeypatch.setattr(Queue, "missing", lambda self: [])
    monkeypatch.setattr(Jobs, "partitions", lambda self: PARTITIONS)
    asked = Batch(kind="slurm", workers_per_job="node", **cluster)
    found = preflight.on_whole_nodes(QUEUE, asked, 3 * 2**30)
    assert (found.per_job, found.job_extra_directives) == (per_job, ("--exclusive",))
    assert preflight.on_whole_nodes(QUEUE, asked, 20 * 2**30).per_job == 3 - (per_job == 8) * 2


def test_workers_of_one_job_share_its_cores_and_its_memory(config: Path) -> None:
    worker, _ = _scripts(config, {}, workers_per_job=4)
    assert "#SBATCH --cpus-per-task=4" in worker
    assert f"#SBATCH --mem={4 * 3 * 1024}M" in worker, "a gibibyte, and two of a frame, for each"
    worker, _ = _scripts(config, {}, workers_per_job=4, memory="8 GiB")
    assert "#SBATCH --mem=8192M" in worker


def test_too_little_memory_is_said_without_a_queue(config: Path) -> None:
    found = preflight.problems(QUEUE, Batch(kind="slurm"), 2**20, [])
    assert found == ["cluster.memory: 1 MiB is too little for a worker; allowed: 1 GiB or more"]


def test_a_least_number_of_workers_above_the_most_is_refused() -> None:
    with pytest.raises(ValueError, match=r"min \(5\) is more than max \(3\)"):
        Batch.model_validate({"kind": "slurm", "workers": {"min": 5, "max": 3}})
