from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from stemdask.cli import doctor
from stemdask.config.clusters import Batch, BatchKind
from stemdask.engine import queues
from stemdask.engine.queues import jobqueue, records
from stemdask.engine.queues.queue import DriverJob, Resources, WorkerJob
from stemdask.engine.queues.script import worker_script
from stemdask.engine.queues.slurm import QUEUE
from stemdask.engine.workers import keys

KINDS = get_args(BatchKind)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder of PATH, which is empty."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_each_batch_system_of_the_config_has_a_record_and_each_record_its_kind() -> None:
    modules = [
        importlib.import_module(f"{queues.__name__}.{found.name}") for found in pkgutil.iter_modules(queues.__path__)
    ]
    files = {module.__name__.rpartition(".")[2] for module in modules if hasattr(module, "QUEUE")}
    assert files == set(KINDS)
    assert [queue.kind for queue in records.queues()] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_gives_what_dask_jobqueue_knows_and_directives_that_are_one_line_each(kind: str) -> None:
    with jobqueue._own_interrupts():
        import dask_jobqueue

    queue = records.queue_of(kind)
    assert hasattr(dask_jobqueue, queue.library)
    job = WorkerJob("name", "/a/log", Path("/a"), 2**30, Batch(kind=kind), ["HOME"], 90)
    driver = DriverJob("name", "/a/log", Path("/a"), 3600, Resources(2**30), Batch(kind=kind))
    memory = [queue.memory(2**30)] if queue.memory else []
    lines = queue.directives([*queue.worker(job), *queue.driver(driver), *memory])
    assert len(lines) > 3
    assert all(line.startswith(f"{queue.directive} ") and len(line.splitlines()) == 1 for line in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_asks_for_its_walltime_in_the_words_of_its_queue(kind: str, tmp_path: Path) -> None:
    (tmp_path / "run.stemdask").mkdir()
    keys.make(tmp_path / "run.stemdask/tls")
    config = Batch(kind=kind, walltime="03:00:00")
    text = worker_script(tmp_path / "run.zarr", records.queue_of(kind), config, 2**30).text("name", 0)
    directives = [line for line in text.splitlines() if line.startswith(records.queue_of(kind).directive)]
    assert any(re.search("03:00(:00)?|10800", line) for line in directives)


@pytest.mark.parametrize("kind", ["htcondor", "oar"])
def test_a_script_that_is_no_file_reaches_the_shell_as_it_was(kind: str) -> None:
    queue = records.queue_of(kind)
    script = f"#!/bin/bash\n{queue.directive} --a 1\nset -e\nx=\"it's $(echo 'a  b')\"\necho \"$x\" \\* '$x'\n"
    words, text = queue.handed(script)
    if kind == "htcondor":  # unquoted as its manual says
        (line,) = re.findall('^arguments = "(.*)"$', text, re.MULTILINE)
        flag, _, quoted = line.replace('""', '"').partition(" ")
        command = ["/bin/bash", flag, quoted[1:-1].replace("''", "'")]
        assert "$(" not in text, "which would be a macro of the description"
    else:
        command = ["/bin/sh", "-c", words[-1]]
        assert words[:-1] == ["--a", "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "it's a  b * $x\n"


def test_the_job_around_a_process_is_known_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert records.queue_around() is None
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert records.queue_around() is QUEUE


def test_the_queue_of_a_machine_is_the_one_whose_commands_it_has(commands: Path) -> None:
    assert QUEUE.missing() == ["sbatch", "squeue", "scancel"]
    assert records.queue_here() is records.queue_of(KINDS[0]), "whose script may be handed in elsewhere"
    for name in ("sbatch", "squeue", "scancel"):
        (commands / name).touch(mode=0o755)
    assert QUEUE.missing() == []
    assert records.queue_here() is QUEUE


@pytest.mark.parametrize(
    ("sign", "here", "not_here"), [("qconf", "sge", "pbs"), ("pbsnodes", "pbs", "sge")], ids=["sge", "pbs"]
)
def test_commands_of_the_same_names_are_those_of_the_system_whose_own_ones_are_there(
    commands: Path, sign: str, here: str, not_here: str
) -> None:
    names = ("qsub", "qstat", "qdel")
    for name in (*names, sign):
        (commands / name).touch(mode=0o755)
    assert records.queue_of(here).missing() == []
    assert records.queue_of(not_here).missing() == list(names)
    assert records.queue_here() is records.queue_of(here)
    (said,) = [one.text for one in doctor._queues() if one.name == not_here]
    assert said == f"not on this machine: {commands / 'qsub'} is of another batch system"
    (commands / sign).unlink()
    assert records.queue_of(not_here).missing() == [], "where neither is known, a config is believed"
