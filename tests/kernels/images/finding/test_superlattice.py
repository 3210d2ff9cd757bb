from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.finding.superlattice import find_superlattice

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
