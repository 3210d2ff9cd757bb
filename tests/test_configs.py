"""The configs that come with the project: each loads, and plans on data such as it is meant for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemdask import simulate
from stemdask.config import document as configs
from stemdask.engine import run as engine

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def write_images(folder: Path) -> list[str]:
    frames = [simulate.perovskite((160, 160), 13.5, seed=seed)[0] for seed in range(4)]
    np.save(folder / "stack.npy", np.stack(frames))
    return [f"input.path={folder / 'stack.npy'}", "input.pixel_size=0.03 nm"]


def write_atoms(folder: Path) -> list[str]:
    trajectory = simulate.trajectory(simulate.nanocrystal(14.0), 3, sigma=0.05, seed=1)
    with (folder / "pt.xyz").open("w") as handle:
        for frame in map(trajectory.read, range(3)):
            handle.write(f"{len(frame.positions)}\n\n")
            handle.writelines(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in frame.positions)
    return [f"input.path={folder / 'pt.xyz'}"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_plans_what_it_names(path: Path, tmp_path: Path) -> None:
    document = configs.read(path)
    atoms = document.data["input"].get("kind") == "atoms"
    settings = write_atoms(tmp_path) if atoms else write_images(tmp_path)
    planned = dict(engine.plan(configs.override(document, [*settings, f"output={tmp_path / 'out.zarr'}"])))
    assert planned["frames"] == ("3" if atoms else "4")
    assert set(document.data.get("analyses") or {}) <= set(planned["analyses"].split(", "))
    assert not (tmp_path / "out.zarr").exists()


def test_there_are_configs_for_both_halves() -> None:
    kinds = {configs.read(path).data["input"].get("kind") for path in CONFIGS}
    assert {"atoms", "images"} <= kinds
