"""Both halves under a real SLURM: the bytes of an inline run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from private_slurm import PrivateSlurm

from stemdask import simulate
from stemdask.config.document import Document
from stemdask.engine import run as engine

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]  # kernels may have to be compiled, by a busy machine


def _images(folder: Path) -> dict[str, str]:
    frames, _ = simulate.stack(6, shape=(128, 128), spacing=13.5, drift=0.5, seed=4)
    np.save(folder / "images.npy", frames)
    return {"path": str(folder / "images.npy"), "pixel_size": "0.0297 nm"}


def _atoms(folder: Path) -> dict[str, str]:
    trajectory = simulate.trajectory(simulate.nanocrystal(16.0), 24, sigma=0.08, seed=4)
    with (folder / "atoms.xyz").open("w") as handle:
        for frame in map(trajectory.read, range(24)):
            handle.write(f"{len(frame.positions)}\n\n")
            handle.writelines(f"Pt {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in frame.positions)
    return {"path": str(folder / "atoms.xyz")}


@pytest.mark.parametrize(
    "write", [pytest.param(_images, marks=pytest.mark.slow, id="images"), pytest.param(_atoms, id="atoms")]
)
def test_the_usual_analyses_give_the_same_bytes_on_slurm(
    slurm: PrivateSlurm, tmp_path: Path, write: Any, record_property: Callable[[str, object], None]
) -> None:
    source = write(tmp_path)
    cluster = {"kind": "slurm", "workers": 2, "interface": "lo", "memory": "3 GiB", "poll_seconds": 1}
    stores = {}
    for name, how in (("inline", {"kind": "inline"}), ("slurm", cluster)):
        store = tmp_path / f"{name}.zarr"
        config = {"input": source, "output": str(store), "cluster": how, "block_frames": 3}
        outcome = engine.execute(Document(config | {"limits": {"frame_seconds": 600.0}}))  # it may compile, starved
        assert outcome.exit_code == 0, "a frame failed"
        stores[name] = toy.contents(store)
    assert len(stores["inline"]) > 50
    assert stores["inline"] == stores["slurm"]
    assert slurm.client("squeue", "--noheader", "--states=PENDING,RUNNING").split() == [], "jobs are left"
    record_property("figure", f"{len(stores['slurm'])} files, bytes equal to those of a run without jobs; jobs left 0")
