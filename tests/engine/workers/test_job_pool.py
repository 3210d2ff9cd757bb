"""A pool of jobs, without a queue."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import toy

from stemdask.config.clusters import Batch
from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.engine.block import Ack
from stemdask.engine.dispatch import Job
from stemdask.engine.workers import descriptors
from stemdask.engine.workers.job_pool import JobPool
from stemdask.errors import ClusterError, ConfigError
from stemdask.model import Block


@pytest.fixture
def pool(tmp_path: Path) -> JobPool:
    job = Job(str(tmp_path / "a.zarr"), 3, True, 2 * 2**30, lambda: False)
    queue = SimpleNamespace(look=lambda: None)
    return JobPool(job, Batch(kind="slurm", workers=2), 2, queue)  # type: ignore[arg-type]


def test_a_block_that_takes_too_long_for_the_walltime_is_said_once(
    pool: JobPool, caplog: pytest.LogCaptureFixture
) -> None:
    for index, seconds in enumerate((1700.0, 1720.0, 1730.0)):  # an hour, less 90 s twice, has room for two of 1710 s
        pool._blocks = {"key": (Block(index, index, index + 1), None)}
        assert [done.block.index for done in pool._taken("key", Ack(index, {}, seconds))] == [index]
    said = [record.getMessage() for record in caplog.records if "walltime" in record.getMessage()]
    assert len(said) == 1
    assert "block 1 took 1720 s" in said[0]


def test_a_controller_that_is_away_is_said_and_ends_no_run(pool: JobPool) -> None:
    assert pool._compare() == "SLURM's controller doesn't answer"


@pytest.mark.parametrize("kind", ["slurm", "allocation"])
def test_a_part_of_a_run_hands_in_no_jobs(tmp_path: Path, kind: str) -> None:
    """Two drivers of one store would end each other's jobs."""
    frames = toy.write_frames(tmp_path / "frames.npy", 8)
    with pytest.raises(ConfigError, match="can only be processed here"):
        engine.execute(Document(toy.config(frames, tmp_path / "o.zarr", kind)), blocks="0:1")
    assert not (tmp_path / "o.stemdask").exists()


def test_more_workers_than_descriptors_allow_are_refused_with_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1024, 4096)]
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda kind: limits[-1])
    monkeypatch.setattr(descriptors.resource, "setrlimit", lambda kind, new: limits.append(new))
    descriptors.allow(1332)
    assert limits[-1] == (4096, 4096), "raised as far as it goes"
    with pytest.raises(ClusterError, match=r"got 1333; allowed: at most 1332, by the limit of 4096 open files"):
        descriptors.allow(1333)
