"""Domains of frames at few electrons, from the images to the labels; each prints its figures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

import stemdask
from stemdask import simulate

pytestmark = pytest.mark.slow

SIDE, SPACING, WIDTH, PIXEL, FRAMES = 272, 16.0, 2.5, 0.02, 64
#: Displacement of the B site, px: 15 pm.
SHIFT = 0.015 / PIXEL


def beyond(places, moving, phase):
    """Places (n, 2) beyond a slanting wall that wanders, or doesn't."""
    y, x = places.T
    return x + 0.3 * (y - SIDE / 2) > SIDE * (0.35 + 0.3 * phase if moving else 0.5)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("peak", [3.0, 2.0])
def test_labels_of_frames_at_few_electrons_are_right(tmp_path, peak, moving):
    drift = np.cumsum(np.random.default_rng(3).normal(0, 0.5, (FRAMES, 2)), axis=0)
    phases = np.arange(FRAMES) / (FRAMES - 1)
    counts = 2 * np.pi * WIDTH**2 * peak
    frames = []
    for frame, (shift, phase) in enumerate(zip(drift, phases, strict=True)):

        def displacement(places, phase=phase):
            return np.stack([np.where(beyond(places, moving, phase), SHIFT, -SHIFT), np.zeros(len(places))], axis=1)

        image, truth = simulate.perovskite(
            (SIDE, SIDE), SPACING, displacement=displacement, electrons_a=counts, electrons_b=0.4 * counts,
            background=0.1 * peak, sigma_a=WIDTH, sigma_b=WIDTH, shift=tuple(shift), margin=np.abs(drift).max() + 1,
            seed=3, noise_seed=3000 + frame,
        )  # fmt: skip
        frames.append(image)
    _, truth = simulate.perovskite((SIDE, SIDE), SPACING, noise=None, margin=30, seed=3)
    sites = truth.positions[truth.sublattice == 1]
    np.save(tmp_path / "frames.npy", np.stack(frames))
    steps = ("registration", "columns", "lattice", "displacement", "denoise", "domains")
    config = {
        "input": {"path": str(tmp_path / "frames.npy"), "pixel_size": f"{PIXEL} nm"},
        "output": str(tmp_path / "store.zarr"),
        "cluster": {"kind": "inline"},
        "analyses": {name: {} for name in steps},
    }
    tree = stemdask.open_results(stemdask.run(config))
    y, x = (tree["displacement"][name].values / PIXEL for name in "yx")
    label, domain = tree["domains"]["label"].values, np.full(y.shape, -1)
    for frame, (shift, phase) in enumerate(zip(drift, phases, strict=True)):
        places = np.stack([y[frame], x[frame]], axis=1) - shift
        there = np.isfinite(places).all(axis=1)
        _, nearest = cKDTree(sites).query(places[there])
        domain[frame, there] = beyond(sites[nearest], moving, phase)
    # Label 0 points along +x, as what lies beyond the wall does.
    right = np.mean((label == 1 - domain)[domain >= 0])
    about = tree["domains"].attrs
    print(f"{peak:g} e, wall {'moving' if moving else 'at rest'}: {100 * right:.1f} % of all labels right; "
          f"{about['statement']}")  # fmt: skip
    assert about["n_domains"] == 2
    assert right >= 0.95
