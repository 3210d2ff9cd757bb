"""Which sites are taken for columns, and what becomes of the others."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from stemdask.kernels.images.finding.columns import Columns, find_columns
from stemdask.simulate import MotifColumn, lattice_image

SQUARE = [[0.0, 14.0], [14.0, 0.0]]


def crystal(height: float, *, electrons: float = 3000.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Crystal of one element in which every twentieth column has another height; returns it and these columns."""
    image, truth = lattice_image((260, 270), SQUARE, (MotifColumn((0, 0), electrons, 2.5, 0),), noise=None)
    chosen = truth.positions[::20]
    chosen = chosen[((chosen > 20) & (chosen < np.array(image.shape) - 21)).all(axis=1)]
    rows, columns = np.indices(image.shape)
    for y, x in chosen:
        image -= (1 - height) * electrons * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 12.5) / (2 * np.pi * 6.25)
    rng = np.random.default_rng(seed)
    return rng.poisson(np.clip(image, 0, None) + 0.02 * electrons / 39).astype(np.float32), chosen


def near(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Tell which places have a point within 4 px."""
    return np.asarray(cKDTree(points).query(places)[0] < 4.0)


@pytest.mark.parametrize("electrons", [300.0, 3000.0, 100_000.0])
def test_dim_columns_are_columns_at_any_dose(electrons: float) -> None:
    image, dim = crystal(0.4, electrons=electrons)
    found = find_columns(image)
    assert near(found.positions, dim).all()
    assert set(found.sublattice) == {0}


def test_a_clear_image_shows_columns_of_a_tenth_of_the_height() -> None:
    image, dim = crystal(0.1, electrons=100_000.0)
    assert near(find_columns(image).positions, dim).all()


@pytest.mark.parametrize("electrons", [300.0, 3000.0, 100_000.0])
def test_an_empty_site_is_a_ghost_and_no_column(electrons: float) -> None:
    image, empty = crystal(0.0, electrons=electrons)
    found = find_columns(image)
    assert near(found.positions, empty).mean() <= 0.05
    assert near(np.concatenate([found.ghosts, found.positions]), empty).all()


def masked(found: Columns, image: np.ndarray) -> np.ndarray:
    """Sites, columns or ghosts, whose pixel is missing."""
    sites = np.concatenate([found.positions, found.ghosts])
    pixel = np.round(sites).astype(int)
    inside = ((pixel >= 0) & (pixel < image.shape)).all(axis=1)
    return np.asarray(sites[inside][~np.isfinite(image[tuple(pixel[inside].T)])])


@pytest.mark.parametrize("corner", [False, True])
def test_sites_under_missing_pixels_are_ghosts(corner: bool) -> None:
    image, truth = lattice_image((260, 270), SQUARE, (MotifColumn((0, 0), 3000, 2.5, 0),), background=1.0)
    rows, columns = np.indices(image.shape)
    hole = rows + columns < 60 if corner else np.hypot(rows - 130, columns - 120) < 25
    image[hole] = np.nan
    found = find_columns(image)
    pixel = np.round(truth.positions).astype(int)
    inside = ((pixel >= 0) & (pixel < image.shape)).all(axis=1)
    hidden = truth.positions[inside][hole[tuple(pixel[inside].T)]]
    # The crystal is known two cells beyond what is seen of it.
    reached = cKDTree(found.positions).query(hidden)[0] < 16.0
    assert reached.sum() >= 4
    assert near(masked(found, image), hidden[reached]).all()
    seen = truth.positions[inside][~hole[tuple(pixel[inside].T)]]
    seen = seen[((seen > 8) & (seen < np.array(image.shape) - 9)).all(axis=1)]
    assert near(np.concatenate([found.positions, found.ghosts]), seen).all()


@pytest.mark.parametrize("electrons", [300.0, 10_000.0])
def test_the_thin_rim_of_a_particle_is_followed_to_its_last_columns(electrons: float) -> None:
    rows, columns = np.indices((260, 270))
    image, truth = lattice_image((260, 270), SQUARE, (MotifColumn((0, 0), electrons, 2.5, 0),), noise=None)
    at = truth.positions
    # A cone: ten atoms in the middle, one at the rim.
    atoms = np.ceil(10.0 * (1.0 - np.hypot(at[:, 0] - 130, at[:, 1] - 135) / 110.0))
    image = np.zeros(image.shape)
    for (y, x), n in zip(at, atoms, strict=True):
        if n > 0:
            image += n * electrons / 400 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 12.5)
    counts = np.random.default_rng(0).poisson(image + 0.002 * electrons / 39).astype(np.float32)
    found = find_columns(counts)
    assert near(found.positions, at[atoms >= 2]).all()
    assert near(at[atoms >= 1], found.positions).mean() >= 0.99


@pytest.mark.parametrize("rotation", [0.0, 25.0])
def test_a_round_particle_of_few_wide_cells_is_found_whole(rotation: float) -> None:
    """Cells of 100 × 35 px with six columns each, as of YBa2Cu3O7 along [100]: twenty cells, and few whole around."""
    heights = {
        (0.0, 0.0): 1.0,
        (0.0, 0.37): 1.0,
        (0.0, 0.68): 0.5,
        (0.5, 0.18): 0.35,
        (0.5, 0.54): 0.35,
        (0.5, 0.83): 0.35,
    }
    motif = [MotifColumn(place, 2e5 * height, 4.5, n) for n, (place, height) in enumerate(heights.items())]
    angle = np.deg2rad(rotation)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    basis = np.array([[0.0, 38.0], [115.0, 0.0]]) @ turn

    def thickness(places: np.ndarray) -> np.ndarray:
        return np.sqrt(np.clip(1.0 - ((places - 210.0) ** 2).sum(axis=-1) / 150.0**2, 0.0, None))

    image, truth = lattice_image((420, 420), basis, motif, background=100.0, thickness=thickness, seed=1)
    seen = thickness(truth.positions) * np.array(list(heights.values()))[truth.sublattice] > 0.1
    found = find_columns(image)
    assert near(found.positions, truth.positions[seen]).all()
    assert near(truth.positions, found.positions).all()
    assert len(found.too_faint) == 0
