"""Jobs whose memory the kernel limits, under a real SLURM with cgroups."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import toy
from at_work import at_work
from private_slurm import PrivateSlurm, missing, no_cgroups
from told import fault

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.model import FrameStatus
from stemdask.results import reader

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(400)]

FRAMES = 24
#: A frame fills 1,100 MiB of it, which the worker, small as it is, doesn't leave free.
MEMORY = "1120 MiB"
CLUSTER = {"kind": "slurm", "workers": 1, "interface": "lo", "poll_seconds": 1, "workers_timeout": 200}


@pytest.fixture(scope="module")
def limiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlurm]:
    if reason := missing() or no_cgroups():
        pytest.skip(reason)
    with at_work(PrivateSlurm(tmp_path_factory.mktemp("cgroups"), [f"stemdask{os.getpid()}"], cgroups=True)) as cluster:
        yield cluster


def test_a_job_that_the_kernel_kills_for_its_memory_gets_half_as_much_more(
    limiting: PrivateSlurm, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    frames, store = toy.write_frames(tmp_path / "frames.npy", FRAMES, {9: "fill"}), tmp_path / "toy.zarr"
    how = {"limits": {"isolate": False}}
    toy.go_on(store)  # no pause, but what is begun is written down
    driver = toy.drive(toy.config(frames, store, CLUSTER | {"memory": MEMORY}, params=toy.pausing(store), **how))
    assert driver.wait(300) == 0, toy.words_of(store)
    log = (tmp_path / "toy.stemdask" / "log").read_text()
    assert "OUT_OF_MEMORY" in log
    assert ", attempt 2" in log
    execute(Document(toy.config(frames, tmp_path / "alone.zarr", **how)))
    assert toy.contents(store) == toy.contents(tmp_path / "alone.zarr")
    assert limiting.client("squeue", "--noheader", "--states=PENDING,RUNNING").strip() == ""
    again = toy.frames_done_twice(store, {driver.pid})
    assert again <= 4
    record_property("figure", fault([0], again))


def test_a_frame_whose_process_the_kernel_kills_says_so(limiting: PrivateSlurm, tmp_path: Path) -> None:
    """Its worker goes on: the memory of the job is given, and is for the user to raise."""
    frames, store = toy.write_frames(tmp_path / "frames.npy", FRAMES, {9: "fill"}), tmp_path / "toy.zarr"
    driver = toy.drive(toy.config(frames, store, CLUSTER | {"memory": MEMORY}, limits={"isolate": True}))
    assert driver.wait(300) == 3, toy.words_of(store)
    frames_of = reader.open_results(store)["frames"]
    assert int((frames_of["frame_status"] != FrameStatus.OK).sum()) == 1
    assert "memory" in str(frames_of["error"].values[9])
