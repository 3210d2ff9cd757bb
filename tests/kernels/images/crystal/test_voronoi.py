import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from stemdask.kernels.images.crystal.voronoi import voronoi_cells
from stemdask.simulate import perovskite


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60))
def test_each_pixel_belongs_to_the_nearest_column(seed, n):
    rng = np.random.default_rng(seed)
    image, positions = rng.random((40, 50)), rng.uniform(0, 40, (n, 2))
    pixels = np.argwhere(np.ones(image.shape))
    distance, owner = KDTree(positions).query(pixels)
    reach = 1.05 * np.median(KDTree(positions).query(positions, k=2)[0][:, 1])
    within = distance <= reach
    inside = np.bincount(owner[within], minlength=n)
    total = np.bincount(owner[within], image.ravel()[within], minlength=n)
    at_border = (pixels == 0).any(axis=1) | (pixels == np.array(image.shape) - 1).any(axis=1)
    beside = np.min([positions, np.array(image.shape) - 1 - positions], axis=(0, 2)) < reach
    at_border |= (distance > 0.97 * reach) & beside[owner]
    cut = np.bincount(owner[within & at_border], minlength=n) > 0
    found = voronoi_cells(image, positions)
    assert np.array_equal(found.n_pixels, inside)
    assert np.array_equal(np.isnan(found.total), cut | (inside == 0))
    assert np.allclose(found.total[~cut & (inside > 0)], total[~cut & (inside > 0)])


def test_the_cells_of_a_lattice_hold_what_the_columns_scatter():
    image, truth = perovskite((160, 160), 16.0, electrons_a=5000, electrons_b=5000, background=0, noise=None)
    cells = voronoi_cells(image, truth.positions)
    inner = ((truth.positions > 16) & (truth.positions < 144)).all(axis=1)
    assert cells.total[inner].mean() == pytest.approx(5000, rel=0.01)
    assert cells.n_pixels[inner].mean() == pytest.approx(128, rel=0.01)


def test_a_cell_next_to_vacuum_is_bounded():
    y, x = np.meshgrid(20.0 + 10 * np.arange(5), 20.0 + 10 * np.arange(5), indexing="ij")
    found = voronoi_cells(np.ones((200, 200)), np.column_stack([y.ravel(), x.ravel()]))
    assert found.n_pixels.max() < np.pi * 10.5**2


def test_a_column_whose_neighbour_lies_beyond_the_border_has_no_sum():
    positions = np.array([[30.0, x] for x in (20, 30, 40, 50)] + [[20.0, 25.0]])
    found = voronoi_cells(np.ones((60, 60)), positions)
    assert np.isnan(found.total[3])  # 9 px from the border, and open towards it
    assert np.isfinite(found.total[1])


def test_missing_pixels_and_missing_columns_have_no_sum():
    image = np.ones((60, 60))
    image[30, 30] = np.nan
    positions = np.array([[20.0, 20.0], [30.0, 31.0], [np.nan, np.nan], [38.0, 40.0]])
    found = voronoi_cells(image, positions)
    assert np.array_equal(np.isnan(found.total), [False, True, True, False])
    assert np.isnan(voronoi_cells(image, positions[:1]).total).all()
    assert voronoi_cells(image, positions[:0]).total.shape == (0,)
