"""Two runs with all analyses on, one of each half, and their reports, for the tests that look at results.

Each is made once, whatever the number of pytest's workers; nobody changes it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy

import stemdask as sd
from stemdask import report, simulate
from stemdask.analyses import registry
from stemdask.model import AtomsFrame

#: Of the analyses that take more than their defaults here.
IMAGES: dict[str, dict[str, Any]] = {
    "preprocess": {"hot_pixels": 8},
    "denoise_images": {"method": "gaussian"},
    "intensity": {"count_atoms": True},
    "denoise": {"method": "compare"},
    "domains": {"source": "displacement", "embedding": "tsne"},
}
ATOMS: dict[str, dict[str, Any]] = {"uncertainty": {"n_samples": 2, "coordinate_error": "0.05 angstrom"}}


def run(path: Path, store: Path, analyses: dict[str, Any] | None = None, pixel_size: str | None = None) -> Path:
    """Run analyses in this process."""
    source = {"path": str(path)} | ({"pixel_size": pixel_size} if pixel_size else {})
    config = {"input": source, "output": str(store), "cluster": {"kind": "inline"}, "limits": {"isolate": False}}
    return sd.run(config | ({"analyses": analyses} if analyses else {}))


def write_stack(path: Path, n_frames: int = 4) -> Path:
    """Write images of a perovskite whose left half is displaced to the right by 0.6 px, and its right half back."""

    def displacement(places: np.ndarray) -> np.ndarray:
        return np.stack([np.where(places[:, 1] < 80, 0.6, -0.6), np.zeros(len(places))], axis=1)

    look = {"shape": (160, 160), "spacing": 14.0, "displacement": displacement}
    frames, _ = simulate.stack(n_frames, drift=1.5, row_jitter=0.1, seed=3, **look)
    np.save(path, frames)
    return path


def write_particles(path: Path, frames: Sequence[AtomsFrame]) -> Path:
    """Write particles of platinum."""
    with path.open("w") as handle:
        for frame in frames:
            handle.write(f"{len(frame.positions)}\n\n")
            handle.writelines(f"Pt {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in frame.positions)
    return path


def _once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Path]) -> Path:
    """Make something in a folder that all workers share; who comes while it's made waits."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, made = shared / name, shared / f"{name}.made"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            folder.mkdir()  # if it failed before, it fails again
            made.write_text(str(make(folder)))
    return Path(made.read_text())


@pytest.fixture(scope="session")
def every_image_analysis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all image analyses over four drifting frames of two domains."""

    def make(folder: Path) -> Path:
        own = [name for name in registry.names("images") if name not in toy.NAMES]
        analyses = {name: IMAGES.get(name, {}) for name in own}
        return run(write_stack(folder / "stack.npy"), folder / "images.zarr", analyses, "0.0297 nm")

    return _once(tmp_path_factory, "every_image_analysis", make)


@pytest.fixture(scope="session")
def every_atoms_analysis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all analyses of structures over three frames of a turning particle; two atoms vanish, two appear."""

    def make(folder: Path) -> Path:
        look = {"sigma": 0.05, "rotation": 2.0, "n_exchanged": 4, "seed": 1}
        trajectory = simulate.trajectory(simulate.nanocrystal(16.0), 3, **look)
        path = write_particles(folder / "moving.xyz", [trajectory.read(index) for index in range(3)])
        return run(path, folder / "atoms.zarr", {name: ATOMS.get(name, {}) for name in registry.names("atoms")})

    return _once(tmp_path_factory, "every_atoms_analysis", make)


@pytest.fixture(scope="session")
def ideal_particle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the usual analyses over the same particle, at rest."""

    def make(folder: Path) -> Path:
        path = write_particles(folder / "ideal.xyz", [simulate.nanocrystal(16.0)])
        return run(path, folder / "ideal.zarr")

    return _once(tmp_path_factory, "ideal_particle", make)


@pytest.fixture(scope="session")
def image_page(every_image_analysis: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the store of images in which every analysis ran."""
    return _once(
        tmp_path_factory, "image_page", lambda folder: report.write(every_image_analysis, folder / "images.html")
    )


@pytest.fixture(scope="session")
def atoms_page(every_atoms_analysis: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the store of structures in which every analysis ran."""
    return _once(
        tmp_path_factory, "atoms_page", lambda folder: report.write(every_atoms_analysis, folder / "atoms.html")
    )
