import numpy as np

from stemdask.kernels.images.crystal.dislocations import near_dislocation

SPACING = 14.0


def crystal(n: int = 24) -> np.ndarray:
    i, j = np.mgrid[-n // 2 : n // 2, -n // 2 : n // 2].reshape(2, -1)
    return SPACING * np.stack([j + 0.37, i + 0.41], axis=1)


def edge_dislocation(positions: np.ndarray) -> np.ndarray:
    """Displace by the field of an edge dislocation at the origin (Hirth & Lothe, Theory of Dislocations, 3-43)."""
    nu, b = 0.3, SPACING
    y, x = -positions[:, 0], positions[:, 1]
    r2 = x**2 + y**2
    u = b / (2 * np.pi) * (np.arctan2(y, x) + x * y / (2 * (1 - nu) * r2))
    v = -b / (2 * np.pi) * ((1 - 2 * nu) / (4 * (1 - nu)) * np.log(r2) + (x**2 - y**2) / (4 * (1 - nu) * r2))
    return positions + np.stack([-v, u], axis=1)


A, B = np.array([0.0, SPACING]), np.array([SPACING, 0.0])


def test_a_strained_crystal_has_no_dislocation() -> None:
    positions = crystal() @ np.array([[1.03, 0.02], [-0.01, 0.98]])
    positions += np.random.default_rng(0).normal(0, 0.5, positions.shape)
    verdict = near_dislocation(positions, A, B)
    assert (verdict <= 0).all()
    assert (verdict == 0).mean() > 0.6


def test_the_columns_around_the_core_are_marked_and_no_others() -> None:
    positions = edge_dislocation(crystal())
    marked = positions[near_dislocation(positions, A, B) == 1]
    assert len(marked) >= 4
    assert np.hypot(*marked.T).max() < 4 * SPACING


def test_a_vacancy_is_no_dislocation() -> None:
    positions = np.delete(crystal(), 300, axis=0)
    assert (near_dislocation(positions, A, B) <= 0).all()


def test_nothing_gives_nothing() -> None:
    assert len(near_dislocation(np.empty((0, 2)), A, B)) == 0
    assert (near_dislocation(np.zeros((1, 2)), np.full(2, np.nan), B) == -1).all()
