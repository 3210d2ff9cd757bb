"""Runs under a real Grid Engine: the same bytes, whatever happens to jobs and the driver."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy
import yaml
from private_sge import PrivateSge
from told import same

from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.results import reader

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

FRAMES = 48


def cluster(**changes: Any) -> dict[str, Any]:
    small = {"interface": "lo", "memory": "1200 MiB", "walltime": "00:10:00", "poll_seconds": 1, "workers_timeout": 120}
    return {"kind": "sge", "workers": 2} | small | changes


def _jobs(sge: PrivateSge) -> list[str]:
    return [line.split()[0] for line in sge.client("qstat").splitlines()[2:]]


@pytest.mark.parametrize(
    "more", [{}, pytest.param({"workers": 4, "workers_per_job": 2}, marks=pytest.mark.slow)], ids=["two", "two_a_job"]
)
def test_a_run_on_grid_engine_gives_the_bytes_of_an_inline_one(
    sge: PrivateSge,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    more: dict[str, Any],
    record_property: Callable[[str, object], None],
) -> None:
    store = tmp_path / "sge.zarr"
    outcome = engine.execute(Document(toy.config(frames, store, cluster(**more))))
    assert outcome.complete
    assert toy.contents(store) == undisturbed
    record_property("figure", same(f"Grid Engine, {more.get('workers', 2)} workers in two jobs", undisturbed))
    assert all(" job " in place for place in set(reader.open_results(store)["frames"]["worker"].values))
    assert _jobs(sge) == []


@pytest.mark.slow
def test_deleted_jobs_are_replaced_and_nothing_is_lost(
    sge: PrivateSge, frames: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    store = tmp_path / "deleted.zarr"
    limits = {"isolate": True, "frame_seconds": 600.0}
    driver = toy.drive(toy.config(frames, store, cluster(), params=toy.pausing(store), limits=limits))
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    toy.wait_until(lambda: len(_jobs(sge)) == 2)
    victim = _jobs(sge)[0]
    sge.client("qdel", victim)
    log = tmp_path / "deleted.stemdask" / "log"
    toy.wait_until(lambda: f"job {victim} of slot" in log.read_text())
    toy.go_on(store)
    assert driver.wait(200) == 0, toy.words_of(store)
    assert toy.contents(store) == undisturbed
    assert _jobs(sge) == []


def test_submit_hands_in_a_driver_to_grid_engine(
    sge: PrivateSge,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    record_property: Callable[[str, object], None],
) -> None:
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(toy.config(frames, tmp_path / "toy.zarr", cluster())))
    command = [sys.executable, "-m", "stemdask"]
    done = subprocess.run([*command, "submit", "run.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    job = done.stdout.split("\njob ")[-1].split(";")[0]
    followed = subprocess.run(
        [*command, "status", "toy.zarr", "--follow"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    said = (tmp_path / "toy.stemdask" / f"driver-{job}.log").read_text()
    assert "complete: 48 ok" in said, said
    assert "used: 2 workers" in followed
    assert toy.contents(tmp_path / "toy.zarr") == undisturbed
    record_property("figure", same("Grid Engine, driver and workers in jobs (submit)", undisturbed))


def test_a_job_that_no_queue_takes_is_refused_with_the_words_of_grid_engine(
    sge: PrivateSge, frames: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(
        yaml.safe_dump(toy.config(frames, tmp_path / "toy.zarr", cluster(partition="nowhere.q")))
    )
    command = [sys.executable, "-m", "stemdask", "check", "run.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no partition 'nowhere.q'; allowed: all.q" in done.stderr
