"""A disk that refuses is no frame's fault."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import toy

from stemdask.model import FrameStatus
from stemdask.store import reader


def test_a_refused_write_ends_the_run_with_no_frame_blamed_and_is_continued(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 40, {3: "refuse"})
    undisturbed = toy.config(frames, tmp_path / "undisturbed.zarr", block_frames=20)
    assert toy.drive(undisturbed).wait() == 3
    data = toy.config(frames, tmp_path / "o.zarr", block_frames=20)
    assert toy.drive(data, blocks="0:1").wait() == 3

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, resource.RLIM_INFINITY))

    (tmp_path / "o.stemdask/plan.json").unlink()  # so that it is the block's write that is refused, or the plan's
    command = [sys.executable, str(Path(toy.__file__).with_name("drive.py")), json.dumps(data), "{}"]
    refused = subprocess.run(command, stderr=subprocess.PIPE, text=True, preexec_fn=limit, check=False)
    assert refused.returncode == 74, refused.stderr
    assert "File too large" in refused.stderr
    assert "run again" in refused.stderr
    assert reader.status(tmp_path / "o.zarr").counts[FrameStatus.FAILED] == 1
    assert toy.drive(data).wait() == 3
    assert toy.contents(tmp_path / "o.zarr") == toy.contents(tmp_path / "undisturbed.zarr")
    assert reader.verify(tmp_path / "o.zarr").sound
