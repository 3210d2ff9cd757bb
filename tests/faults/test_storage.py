"""A disk that refuses is no frame's fault."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.model import FrameStatus
from stemdask.results import reader

pytestmark = pytest.mark.processes

HERE = {"isolate": False}


def test_a_refused_write_ends_the_run_with_no_frame_blamed_and_is_continued(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 1600, {3: "refuse"}, size=8)
    undisturbed = execute(Document(toy.config(frames, tmp_path / "u.zarr", block_frames=1600, limits=HERE)))
    data = toy.config(frames, tmp_path / "o.zarr", block_frames=1600, limits=HERE)

    def limit() -> None:  # large enough for all metadata, too small for a chunk
        resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, resource.RLIM_INFINITY))

    command = [sys.executable, str(Path(toy.__file__).with_name("drive.py")), json.dumps(data), "{}"]
    refused = subprocess.run(command, stderr=subprocess.PIPE, text=True, preexec_fn=limit, check=False)
    assert refused.returncode == 74, refused.stderr
    assert refused.stderr.startswith(str(tmp_path / "o.zarr/"))
    assert "File too large (errno 27)" in refused.stderr
    assert "run again" in refused.stderr
    status = reader.status(tmp_path / "o.zarr")
    assert (status.state, status.counts[FrameStatus.PENDING]) == ("partial", 1600)
    assert execute(Document(data)).complete
    assert toy.contents(tmp_path / "o.zarr") == toy.contents(undisturbed.store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_under_processes_is_said_in_one_line_and_is_continued(tmp_path: Path, small_disk: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 400)
    data = toy.config(frames, small_disk / "o.zarr", "processes", limits=HERE)
    command = [sys.executable, str(Path(toy.__file__).with_name("drive.py")), json.dumps(data), "{}"]
    full = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert full.returncode == 74
    assert "No space left on device" in full.stderr
    assert len(full.stderr.splitlines()) == 1
    assert reader.verify(small_disk / "o.zarr").sound
    assert reader.status(small_disk / "o.zarr").counts[FrameStatus.FAILED] == 0
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert execute(Document(toy.config(frames, small_disk / "o.zarr", limits=HERE))).complete
    undisturbed = execute(Document(toy.config(frames, tmp_path / "u.zarr", limits=HERE)))
    assert toy.contents(small_disk / "o.zarr") == toy.contents(undisturbed.store)
