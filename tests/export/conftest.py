"""Stores to export."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from exported import COUNTS

import stemdask as sd
from stemdask import simulate


@pytest.fixture(scope="session")
def atoms_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over five particles of different size in blocks of two; the fourth has a coordinate that is no number."""
    from ase.cluster import Icosahedron

    folder = tmp_path_factory.mktemp("atoms")
    shells = {13: 2, 55: 3, 147: 4}
    particles = [Icosahedron("Pt", shells[n], latticeconstant=3.92) for n in COUNTS]
    particles[2].numbers[:5] = 79
    particles[3].positions[4, 1] = np.nan
    ase.io.write(folder / "particles.xyz", particles, format="xyz")
    config = {
        "input": {"path": str(folder / "particles.xyz")},
        "output": str(folder / "particles.zarr"),
        "block_frames": 2,
        "cluster": {"kind": "inline"},
        "limits": {"isolate": False},
    }
    return sd.run(config)


@pytest.fixture(scope="session")
def images_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over two images of a perovskite."""
    folder = tmp_path_factory.mktemp("images")
    images = [simulate.perovskite((192, 192), seed=seed)[0] for seed in (1, 2)]
    np.save(folder / "images.npy", np.stack(images))
    config = {
        "input": {"path": str(folder / "images.npy"), "pixel_size": "0.02 nm"},
        "output": str(folder / "images.zarr"),
        "cluster": {"kind": "inline"},
        "limits": {"isolate": False},
    }
    return sd.run(config)
