"""Columns drawn over the background between them."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.fitting.drawing import draw_columns

WIDTH, HEIGHT, LEVEL = 2.0, 50.0, 7.0
#: Lattice vectors (y, x), and the columns of the cell in units of them.
CRYSTALS = {
    "square": ([[0.0, 12.0], [12.0, 0.0]], [[0.0, 0.0], [0.5, 0.5]]),
    "honeycomb": ([[0.0, 16.0], [13.86, 8.0]], [[1 / 3, 1 / 3], [2 / 3, 2 / 3]]),
    "dumbbells": ([[0.0, 16.0], [11.3, 8.0]], [[0.0, 0.0], [-0.25, 0.5]]),
}


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_the_model_of_a_crystal_has_no_holes(crystal: str) -> None:
    vectors, motif = CRYSTALS[crystal]
    cells = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)), axis=-1).reshape(-1, 2)
    positions = np.concatenate([(cells + place) @ np.array(vectors) for place in motif]) + 60.0
    inside = positions[((positions > 0) & (positions < 120)).all(axis=1)]
    n, q = len(inside), 1.0 / WIDTH**2
    level = np.full(n, LEVEL)
    drawn = draw_columns((121, 121), inside, np.full(n, HEIGHT), np.tile([q, 0.0, q], (n, 1)), level, np.zeros(3))
    middle = np.s_[25:96, 25:96]
    assert np.isfinite(drawn[middle]).all()
    y, x = np.indices(drawn.shape)
    expected = LEVEL + sum(HEIGHT * np.exp(-0.5 * q * ((y - at[0]) ** 2 + (x - at[1]) ** 2)) for at in inside)
    np.testing.assert_allclose(drawn[middle], expected[middle], atol=1e-3 * HEIGHT)


def test_nothing_is_told_of_what_lies_far_from_all_columns() -> None:
    row = np.stack(np.meshgrid(np.arange(10.0, 60, 10), np.arange(10.0, 100, 10), indexing="ij"), axis=-1).reshape(
        -1, 2
    )
    n = len(row)
    drawn = draw_columns((110, 110), row, np.ones(n), np.tile([0.25, 0.0, 0.25], (n, 1)), np.zeros(n), np.zeros(3))
    assert np.isnan(drawn[75:]).all()
    assert np.isfinite(drawn[20:45, 20:80]).all()
