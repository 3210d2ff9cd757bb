from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import get_args

import pytest

from stemdask.config.clusters import Batch, BatchKind
from stemdask.engine import queues
from stemdask.engine.queues import jobqueue, records
from stemdask.engine.queues.queue import DriverJob, Resources, WorkerJob
from stemdask.engine.queues.slurm import QUEUE

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
    assert "walltime" in queue.options(Batch(kind=kind), 2**30)
    job = WorkerJob("name", "/a/log", Path("/a"), Batch(kind=kind), ["HOME"], 90)
    driver = DriverJob("name", "/a/log", Path("/a"), 3600, Resources(2**30), Batch(kind=kind))
    lines = queue.directives([*queue.worker(job), *queue.driver(driver), queue.memory(2**30)])
    assert len(lines) > 3
    assert all(line.startswith(f"{queue.directive} ") and len(line.splitlines()) == 1 for line in lines)


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
