"""What the user says of the lattice overrules what the image seems to show."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask import simulate
from stemdask.kernels.images.finding.columns import find_columns
from stemdask.kernels.images.finding.separation import NoLatticeError


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return simulate.perovskite((220, 220), 14.0, rotation=5.0, seed=1)[0]


def test_one_sublattice_is_found_where_only_one_is_asked_for(image: np.ndarray) -> None:
    found, one = find_columns(image), find_columns(image, sublattices=1)
    np.testing.assert_allclose(one.positions, found.positions[found.sublattice == 0], atol=1e-6)
    assert not one.sublattice.any()


def test_columns_of_uneven_heights_are_one_kind_where_the_user_says_so() -> None:
    """Every other column 1.3 times as high: a superlattice, unless all columns are alike."""
    basis = 14.0 * np.eye(2)
    motif = [simulate.MotifColumn((0.0, 0.0), 8000.0, 2.6, 0), simulate.MotifColumn((0.5, 0.5), 6000.0, 2.6, 1)]
    uneven, _ = simulate.lattice_image((220, 220), basis, motif, background=5.0, seed=2)
    assert set(find_columns(uneven).sublattice) == {0, 1}
    half = 0.5 * (basis[0] + basis[1]), 0.5 * (basis[0] - basis[1])
    alike = find_columns(uneven, vectors=half)
    assert set(alike.sublattice) == {0}
    assert len(alike.positions) == len(find_columns(uneven).positions)


@pytest.mark.parametrize("off", [0.0, 0.05])
def test_vectors_need_to_be_roughly_right(image: np.ndarray, off: float) -> None:
    found = find_columns(image)
    a, b = found.vectors.a, found.vectors.b
    given = find_columns(image, vectors=((1.0 + off) * a, (1.0 - off) * b))
    np.testing.assert_allclose(given.positions, found.positions, atol=1e-3)
    np.testing.assert_allclose(given.vectors.a, a, atol=1e-3)
    assert np.isnan(given.vectors.confidence)


def test_a_larger_cell_that_is_given_has_all_its_columns(image: np.ndarray) -> None:
    found = find_columns(image)
    a, b = found.vectors.a, found.vectors.b
    doubled = find_columns(image, vectors=(a + b, a - b))
    assert set(doubled.sublattice) == {0, 1, 2, 3}
    assert len(doubled.positions) == pytest.approx(len(found.positions), abs=2)


def test_vectors_that_no_column_repeats_with_are_refused(image: np.ndarray) -> None:
    a, b = find_columns(image).vectors.a, find_columns(image).vectors.b
    with pytest.raises(NoLatticeError):
        find_columns(image, vectors=(0.7 * a, 0.7 * b))
