"""Simulated images hold what their truth says."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.simulate import MotifColumn, lattice_image, perovskite


def test_the_electrons_of_a_column_are_in_the_image() -> None:
    image, truth = lattice_image(
        (64, 64), [[0.0, 200.0], [200.0, 0.0]], (MotifColumn((0.0, 0.0), 5000.0, (3.0, 2.0, 0.4), 0),), noise=None
    )
    assert image.sum() == pytest.approx(5000.0, rel=1e-4)
    y, x = np.mgrid[:64, :64]
    np.testing.assert_allclose(
        [(image * y).sum() / image.sum(), (image * x).sum() / image.sum()], truth.positions[0], atol=1e-4
    )


def test_displacements_are_u_along_x_and_v_along_y_of_the_b_columns() -> None:
    _, plain = perovskite((100, 100), noise=None)
    _, moved = perovskite((100, 100), noise=None, displacement=(0.5, -0.2))
    shift = moved.positions - plain.positions
    np.testing.assert_allclose(
        shift[plain.sublattice == 1], [[-0.2, 0.5]] * int(np.sum(plain.sublattice == 1)), atol=1e-12
    )
    assert not shift[plain.sublattice == 0].any()


def test_counts_scatter_as_poisson_does() -> None:
    image, truth = perovskite((300, 300), seed=4)
    assert np.mean((image - truth.expected) ** 2 / truth.expected) == pytest.approx(1.0, abs=0.02)
    assert image.dtype == np.float32


def test_the_same_seed_gives_the_same_image_and_another_one_another() -> None:
    images = [perovskite((64, 64), seed=seed)[0] for seed in (1, 1, 2)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_missing_columns_and_vacuum_are_not_in_the_truth() -> None:
    vacuum = np.zeros((200, 200), bool)
    vacuum[:, 100:] = True
    _, whole = perovskite((200, 200), noise=None)
    image, truth = perovskite((200, 200), noise=None, vacuum=vacuum, missing=0.1, background=5.0)
    assert len(truth.positions) < 0.6 * len(whole.positions)
    assert image[100, 180] == pytest.approx(0.5)
