import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from stemdask.kernels.atoms.fluctuation import DistanceFluctuation
from stemdask.simulate import nanocrystal


def shaken_frames(n_frames, sigma=0.1, seed=0):
    random = np.random.default_rng(seed)
    ideal = nanocrystal(14).positions
    return [
        (ideal + random.normal(scale=sigma, size=ideal.shape)) @ Rotation.random(rng=random).as_matrix().T
        for _ in range(n_frames)
    ]


def test_it_is_the_textbook_formula_over_all_pairs():
    frames = shaken_frames(30)
    track = np.arange(len(frames[0]))
    fluctuation = DistanceFluctuation.of_pairs_within(frames[0], track, np.inf)
    for positions in frames:
        fluctuation.add(positions, track)
    distance = np.array([pdist(positions) for positions in frames])
    expected = np.sqrt((distance**2).mean(axis=0) - distance.mean(axis=0) ** 2) / distance.mean(axis=0)
    index, each = fluctuation.indices(len(track))
    assert index == pytest.approx(expected.mean(), rel=1e-9)
    assert each.mean() == pytest.approx(expected.mean(), rel=1e-9)


def test_the_order_of_the_atoms_and_a_missing_one_make_no_difference_to_the_others():
    frames = shaken_frames(20)
    n = len(frames[0])
    still, shuffled = (DistanceFluctuation.of_pairs_within(frames[0], np.arange(n), 6.0) for _ in range(2))
    random = np.random.default_rng(1)
    for k, positions in enumerate(frames):
        still.add(positions, np.arange(n))
        order = random.permutation(n)
        order = order[order != 7] if k > 10 else order
        shuffled.add(positions[order], order)
    before, after = still.indices(n)[1], shuffled.indices(n)[1]
    apart = np.linalg.norm(frames[0] - frames[0][7], axis=1) > 6.0
    np.testing.assert_allclose(after[apart], before[apart], rtol=1e-12)


def test_atoms_without_pairs_have_no_index():
    fluctuation = DistanceFluctuation.of_pairs_within(np.array([[0, 0, 0], [9.0, 0, 0]]), np.array([0, 1]), 3.0)
    fluctuation.add(np.zeros((2, 3)), np.array([0, 1]))
    index, each = fluctuation.indices(2)
    assert np.isnan(index)
    assert np.isnan(each).all()
