from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Floats
from stemdask.kernels.images.finding.columns import find_columns
from stemdask.kernels.images.finding.superlattice import find_superlattice
from stemdask.simulate import MotifColumn, lattice_image, perovskite

SINGLE = ((1, 0), (0, 1))
ROW, COLUMN = np.mgrid[:20, :20]


def noisy(heights: np.ndarray, noise: float = 0.05, seed: int = 0) -> np.ndarray:
    return np.asarray(heights * np.random.default_rng(seed).normal(1, noise, heights.shape))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (lambda i, j: 0 * i, SINGLE),
        (lambda i, j: i % 2, ((2, 0), (0, 1))),
        (lambda i, j: j % 2, ((1, 0), (0, 2))),
        (lambda i, j: (i + j) % 2, ((1, 1), (-1, 1))),
        (lambda i, j: (i % 2) * (j % 2), ((2, 0), (0, 2))),
    ],
)
def test_alternating_heights_double_the_cell(pattern: object, expected: object) -> None:
    heights = noisy((1 + 0.15 * pattern(ROW, COLUMN)) * (1 + 0.02 * ROW))  # type: ignore[operator]
    heights[np.random.default_rng(1).random(heights.shape) < 0.05] = np.nan
    assert find_superlattice(heights) == expected


@pytest.mark.parametrize("seed", range(5))
def test_two_rows_at_an_interface_are_no_larger_cell(seed: int) -> None:
    heights = np.where((ROW == 9) | (ROW == 11), 1.8, 1.0)
    assert find_superlattice(noisy(heights, 0.03, seed)) == SINGLE


@pytest.mark.parametrize("part", [0.3, 0.6, 0.8])
def test_an_order_of_a_part_of_the_image_is_a_region_and_no_larger_cell(part: float) -> None:
    ordered = 1 + 0.2 * ((ROW + COLUMN) % 2) * (part * 20 > ROW)
    assert find_superlattice(noisy(ordered, 0.03)) == SINGLE


@pytest.mark.parametrize("thickness", [2, 3, 5])
def test_layers_of_two_materials_are_regions_and_no_larger_cell(thickness: int) -> None:
    layers = np.where((ROW // thickness) % 2 == 0, 1.0, 1.4)
    assert find_superlattice(noisy(layers, 0.03)) == SINGLE


@pytest.mark.parametrize("seed", range(20))
def test_uneven_columns_are_no_larger_cell(seed: int) -> None:
    assert find_superlattice(noisy(np.ones((20, 20)), 0.2, seed)) == SINGLE
    # As in an image that repeats one simulated cell of uneven columns.
    tile = noisy(np.ones((5, 5)), 0.15, seed)
    assert find_superlattice(np.tile(tile, (4, 4))) == SINGLE


RUTILE = [
    MotifColumn((0.0, 0.0), 3000.0, 2.6, 0),
    MotifColumn((0.5, 0.5), 3000.0, 2.6, 0),
    *(MotifColumn(place, 500.0, 2.6, 1) for place in ((0.305, 0.305), (0.695, 0.695), (0.195, 0.805), (0.805, 0.195))),
]


@pytest.mark.parametrize("turned", [0.0, 23.0])
@pytest.mark.parametrize("brightness", [0.05, 1.0])
def test_weak_columns_that_alternate_double_the_cell_of_bright_ones_that_are_alike(
    turned: float, brightness: float
) -> None:
    """Rutile along [001]: oxygen lies on one diagonal at every second titanium, on the other at the rest."""
    angle = np.radians(turned)
    basis = 35.3 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    motif = [replace(column, electrons=brightness * column.electrons) for column in RUTILE]
    image, truth = lattice_image((260, 280), basis, motif, background=2.0 * brightness, seed=1)
    found = find_columns(image)
    assert np.hypot(*found.vectors.a) == pytest.approx(35.3, rel=0.01)
    off, _ = cKDTree(found.positions).query(truth.positions[truth.inside])
    assert (off < 3.0).mean() > 0.97
    off, _ = cKDTree(truth.positions).query(found.positions)
    assert (off < 3.0).mean() > 0.97


@pytest.mark.parametrize("moved", [0.5, 1.0])
def test_columns_displaced_against_each_other_are_no_larger_cell(moved: float) -> None:
    """Antiferroelectric displacements, here of up to 25 pm in a cell of 0.4 nm, are to be measured."""

    def alternating(positions: Floats) -> Floats:
        return moved * np.where(np.round(positions[:, :1] / 16.0) % 2 == 0, [[1.0, 0.5]], [[-1.0, -0.5]])

    image, _ = perovskite((240, 240), 16.0, displacement=alternating, seed=2)
    found = find_columns(image)
    assert np.hypot(*found.vectors.a) == pytest.approx(16.0, rel=0.01)
    assert set(found.sublattice) == {0, 1}
