from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.atoms.coordination import coordination


def test_a_cubic_lattice_has_six_five_four_and_three_neighbours_inside_and_at_its_edges():
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    found = coordination(grid, np.full(27, 29), np.full(27, 1.2))
    assert np.bincount(found.number).tolist() == [0, 0, 0, 8, 12, 6, 1]
    np.testing.assert_array_equal(found.same_element, found.number)
    assert coordination(grid, np.full(27, 29), np.full(27, 1.2), 3 * np.eye(3)).number.tolist() == [6] * 27


def test_the_reach_of_a_pair_is_the_mean_of_both_and_itself_too_far():
    positions, numbers = [[0, 0, 0], [1.5, 0, 0], [4.5, 0, 0]], [29, 79, 79]
    found = coordination(positions, numbers, [1.0, 2.0 + 1e-12, 4.0 - 2e-12])
    assert found.number.tolist() == [1, 1, 0]
    assert found.same_element.tolist() == [0, 0, 0]
    assert coordination(positions, numbers, [1.0, 2.0, 4.0]).number.tolist() == [0, 0, 0]


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_atoms_have_no_neighbours(n):
    found = coordination(np.zeros((n, 3)), np.full(n, 78), np.full(n, 3.0))
    assert found.number.tolist() == [0] * n
