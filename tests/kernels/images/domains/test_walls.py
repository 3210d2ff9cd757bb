from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.domains.walls import find_walls

SQUARE = np.array([[0.0, 0.4], [0.4, 0.0]])


def positions(shape, vectors=SQUARE):
    row, column = np.indices(shape)
    return column[..., None] * vectors[0] + row[..., None] * vectors[1]


@pytest.mark.parametrize("slope", [0.0, 0.2, 0.5, 0.9, -0.7])
def test_the_length_of_a_slanting_wall_is_not_that_of_a_staircase(slope):
    row, column = np.indices((60, 60))
    labels = (column + slope * (row - 30) > 30).astype(int)
    rows_crossed = min(60, int(60 / max(abs(slope), 1e-9)))
    expected = 0.4 * rows_crossed * np.hypot(1, slope)
    assert find_walls(labels, positions(labels.shape), 2, SQUARE).length[0, 1] == pytest.approx(expected, rel=0.07)


def test_a_wall_lies_between_its_cells():
    labels = np.zeros((10, 10), dtype=int)
    labels[:, 6:] = 1
    found = find_walls(labels, positions(labels.shape), 2, SQUARE)
    np.testing.assert_allclose(found.position[0, 1], [0.4 * 4.5, 0.4 * 5.5])
    np.testing.assert_array_equal(found.length, found.length.T)
    np.testing.assert_array_equal(np.flatnonzero(found.at_wall.any(axis=0)), [5, 6])


def test_cells_of_no_domain_make_no_wall():
    labels = np.zeros((8, 8), dtype=int)
    labels[:, 3:5] = -1
    found = find_walls(labels, positions(labels.shape), 2, SQUARE)
    assert found.length.sum() == 0
    assert not found.at_wall.any()
    assert np.isnan(found.position).all()


def test_a_sheared_lattice_keeps_the_length():
    vectors = np.array([[0.05, 0.4], [0.38, 0.12]])
    labels = np.repeat((np.arange(40) > 20)[:, None], 40, axis=1).astype(int)
    length = find_walls(labels, positions(labels.shape, vectors), 2, vectors).length[0, 1]
    assert length == pytest.approx(40 * np.hypot(*vectors[0]), rel=0.1)
