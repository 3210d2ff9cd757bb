import numpy as np
import pytest

from stemdask.kernels.images.finding.motif import find_motif, mean_cell, shortest_distance

A, B = np.array([0.0, 20.0]), np.array([20.0, 0.0])


def cell(
    columns: list[tuple[float, float, float]], sigma: float = 3.6, shape: tuple[int, int] = (20, 20)
) -> np.ndarray:
    """Periodic cell of Gaussians (fraction along a, along b, height)."""
    u, v = np.indices(shape) / np.array(shape)[:, None, None]
    image = np.full(shape, 0.2)
    for at_u, at_v, height in columns:
        for n in range(-2, 3):
            for m in range(-2, 3):
                d = np.stack([u - at_u - n, v - at_v - m], -1) @ np.stack([A, B])
                image += height * np.exp(-(d**2).sum(-1) / (2 * sigma**2))
    return image


@pytest.mark.parametrize("ratio", [1.0, 2.0, 5.0, 20.0])
def test_a_column_on_the_flank_of_brighter_ones_is_found(ratio: float) -> None:
    motif = find_motif(cell([(0.0, 0.0, 1.0), (0.5, 0.5, 1.0 / ratio)]), 1e-6, A, B)
    assert len(motif.amplitudes) == 2
    assert motif.amplitudes[0] / motif.amplitudes[1] == pytest.approx(ratio, rel=0.1)
    away = motif.fractions[1] - motif.fractions[0]
    np.testing.assert_allclose(np.abs(away), 0.5, atol=0.01)
    assert motif.width == pytest.approx(3.6, rel=0.1)


def test_tails_that_overlap_are_no_columns() -> None:
    assert len(find_motif(cell([(0.1, 0.2, 1.0)], sigma=5.5), 1e-6, A, B).amplitudes) == 1


def test_noise_makes_no_column() -> None:
    noisy = cell([(0.0, 0.0, 1.0)]) + np.random.default_rng(0).normal(0, 0.05, (20, 20))
    assert len(find_motif(noisy, 0.05, A, B).amplitudes) == 1


def test_a_flat_or_missing_cell_has_no_columns() -> None:
    assert len(find_motif(np.ones((16, 16)), 0.1, A, B).amplitudes) == 0
    assert len(find_motif(np.full((16, 16), np.nan), np.nan, A, B).amplitudes) == 0


def test_the_mean_cell_follows_the_cells() -> None:
    rows, columns = np.indices((200, 200))
    image = np.cos(2 * np.pi * rows / 20) + np.cos(2 * np.pi * columns / 20)
    i, j = np.mgrid[:8, :8]
    grid = 20.0 + i[..., None] * A + j[..., None] * B
    grid[3, 3] = np.nan
    mean, error = mean_cell(image.astype(np.float32), grid, (20, 20))
    u, v = np.indices((20, 20)) / 20
    np.testing.assert_allclose(mean, np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v), atol=0.01)
    assert error < 0.01
    assert np.isnan(mean_cell(image.astype(np.float32), np.full((4, 4, 2), np.nan), (16, 16))[0]).all()


def test_the_shortest_distance_counts_the_neighbouring_cells() -> None:
    assert shortest_distance(np.array([[0.0, 0.0], [0.9, 0.0]]), A, B) == pytest.approx(2.0)
    assert shortest_distance(np.zeros((1, 2)), A, B) == pytest.approx(20.0)
