import numpy as np
import pytest
from cells import BETA_MANGANESE
from scipy.ndimage import gaussian_filter

from stemdask.kernels.images.finding.polarity import DOUBTFUL, polarity
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.simulate import MotifColumn as C
from stemdask.simulate import lattice_image, perovskite

HEXAGON = np.array([[0.0, 1.0], [np.sqrt(0.75), 0.5]])
STRUCTURES = {
    "perovskite": ([[0, 14], [14, 0]], (C((0, 0), 5000, 2.3, 0), C((0.5, 0.5), 2000, 2.3, 1))),
    "A and B alike": ([[0, 14], [14, 0]], (C((0, 0), 5000, 2.2, 0), C((0.5, 0.5), 4400, 2.2, 1))),
    "perovskite with oxygen": (
        [[0, 24], [24, 0]],
        (C((0, 0), 5000, 3, 0), C((0.5, 0.5), 2500, 3, 1), C((0.5, 0), 1200, 3, 2), C((0, 0.5), 1200, 3, 2)),
    ),
    "dumbbells": ([[14.1, 20], [14.1, -20]], (C((0, 0), 5000, 2.4, 0), C((0.25, 0.25), 5000, 2.4, 1))),
    "fcc <110>": ([[10, 14.1], [10, -14.1]], (C((0, 0), 5000, 2.8, 0),)),
    "hcp <0001>": (16 * HEXAGON, (C((0, 0), 5000, 3, 0),)),
    "graphene": (16 * HEXAGON, (C((1 / 3, 1 / 3), 3000, 2.8, 0), C((2 / 3, 2 / 3), 3000, 2.8, 0))),
}


def dark(expected: np.ndarray, seed: int = 0) -> np.ndarray:
    """Counts of a detector that loses what the columns scatter."""
    return np.random.default_rng(seed).poisson(1.3 * expected.max() - expected).astype(np.float32)


@pytest.mark.parametrize("name", STRUCTURES)
def test_bright_and_dark_columns_are_told_apart(name: str) -> None:
    basis, motif = STRUCTURES[name]
    image, truth = lattice_image((260, 270), basis, motif, background=20.0, seed=1)
    assert polarity(image) > DOUBTFUL
    assert polarity(dark(truth.expected)) < -DOUBTFUL


def test_pairs_around_round_gaps_are_told_from_the_gaps() -> None:
    motif = [C(place, 8000, 3.2, 0) for place in BETA_MANGANESE]
    image, truth = lattice_image((420, 420), [[0, 63], [63, 0]], motif, background=20.0, seed=1)
    assert polarity(image) > DOUBTFUL
    assert polarity(dark(truth.expected)) < -DOUBTFUL


def test_the_negative_of_an_image_says_the_opposite() -> None:
    image, _ = perovskite((200, 220), 14.0, rotation=20.0, seed=2)
    assert polarity(-image) == pytest.approx(-polarity(image), abs=1e-3)


def test_missing_pixels_vacuum_and_a_film_change_nothing() -> None:
    rows, columns = np.indices((300, 320))
    image, _ = perovskite((300, 320), 14.0, vacuum=np.hypot(rows - 150, columns - 150) > 110, background=50.0, seed=3)
    holed = image.copy()
    holed[:60, :60] = holed[-60:, -60:] = np.nan
    speckle = gaussian_filter(np.random.default_rng(0).normal(size=image.shape), 2.5)
    for seen in (image, holed, image + 100.0 * speckle):
        assert polarity(seen) > DOUBTFUL
        assert polarity(-seen) < -DOUBTFUL


def test_an_image_without_a_crystal_has_no_polarity() -> None:
    rng = np.random.default_rng(0)
    film = gaussian_filter(rng.normal(size=(256, 256)), 2.5)
    for image in (film, rng.poisson(5.0, (256, 256)), np.ones((64, 64)), np.full((64, 64), np.nan), np.ones((8, 8))):
        with pytest.raises(NoLatticeError):
            polarity(image)
