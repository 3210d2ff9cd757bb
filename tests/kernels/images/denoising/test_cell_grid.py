from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stemdask.kernels.images.denoising.cell_grid import CellGrid, gather, lattice_steps, scatter, spanning


@given(st.integers(-5, 5), st.integers(-5, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_cells_laid_on_the_grid_come_back(first_i, first_j, rows, columns, seed):
    grid = CellGrid(first_i, first_j, rows, columns)
    random = np.random.default_rng(seed)
    i, j = random.integers(first_i, first_i + columns, 4), random.integers(first_j, first_j + rows, 4)
    kept = np.unique(np.stack([i, j]), axis=1)
    i, j = kept[None, 0], kept[None, 1]
    values = random.normal(size=i.shape)
    places = grid.place(i, j, np.ones(i.shape, dtype=bool))
    np.testing.assert_array_equal(gather(scatter(values, places, grid.size), places), values)


def test_padding_and_cells_off_the_grid_have_no_place():
    grid = CellGrid(0, 0, 2, 3)
    places = grid.place(np.array([[0, 3, 1]]), np.array([[0, 0, 1]]), np.array([[True, True, False]]))
    np.testing.assert_array_equal(places, [[0, -1, -1]])


def test_the_grid_spans_all_blocks():
    assert spanning([(0, 4, -2, 1), (-3, 2, 0, 5)]) == CellGrid(-3, -2, 8, 8)
    assert spanning([]).size == 0


def test_a_lattice_indexed_from_another_column_is_brought_back():
    vectors = np.array([[0.02, 0.4], [0.39, -0.05]])
    points = np.array([[0.0, 0.0], 2 * vectors[0] - vectors[1], [np.nan, 0.0]]) + 0.03
    np.testing.assert_array_equal(lattice_steps(points, vectors), [[0, 0], [2, -1], [0, 0]])
