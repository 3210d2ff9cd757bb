import numpy as np
import pytest

from stemdask.kernels.images.crystal.atom_counting import count_atoms

pytestmark = pytest.mark.long


def steps(counts, step, sigma, seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(counts) * step + rng.normal(0, sigma, len(counts))


@pytest.mark.parametrize(("low", "high", "sigma"), [(1, 4, 0.15), (3, 9, 0.15), (5, 7, 0.2), (4, 4, 0.1)])
def test_the_number_of_atoms_is_found_where_the_steps_stand_apart(low, high, sigma):
    truth = np.random.default_rng(1).integers(low, high + 1, 1500)
    found = count_atoms(steps(truth, 1000.0, 1000 * sigma))
    assert len(found.means) == high - low + 1
    assert found.sigma == pytest.approx(1000 * sigma, rel=0.1)
    if high > low:  # one component alone says nothing of its number
        number, chance = found.count(steps(truth, 1000.0, 1000 * sigma))
        assert np.mean(number == truth) > 0.97
        assert np.mean(chance) == pytest.approx(np.mean(number == truth), abs=0.02)


def test_columns_of_unequal_frequency_are_counted():
    truth = np.repeat([2, 3, 4, 5, 6], [30, 500, 900, 300, 40])
    found = count_atoms(steps(truth, 800.0, 110.0))
    number, _ = found.count(steps(truth, 800.0, 110.0))
    assert np.mean(number == truth) > 0.98


def test_intensities_without_steps_are_one_component():
    found = count_atoms(np.random.default_rng(0).normal(5000, 300, 2000))
    assert len(found.means) == 1
    assert (found.count(np.array([5000.0, 5100.0]))[0] == -1).all()  # one step doesn't tell its number


def test_the_first_number_may_be_given():
    truth = np.random.default_rng(2).integers(10, 14, 800)
    intensities = 300 + steps(truth, 500.0, 50.0)  # not proportional
    number, _ = count_atoms(intensities, first=10).count(intensities)
    assert np.mean(number == truth) > 0.99


def test_missing_intensities_have_no_count():
    truth = np.random.default_rng(3).integers(1, 4, (20, 30))
    intensities = truth * 100.0 + np.random.default_rng(4).normal(0, 8, truth.shape)
    intensities[:, 5] = np.nan
    number, chance = count_atoms(intensities).count(intensities)
    assert (number[:, 5] == -1).all()
    assert np.isnan(chance[:, 5]).all()
    assert np.array_equal(np.delete(number, 5, axis=1), np.delete(truth, 5, axis=1))


@pytest.mark.parametrize("values", [[], [1.0] * 100, [np.nan] * 100, [1.0, 2.0, 3.0]])
def test_too_little_to_count(values):
    assert count_atoms(np.array(values)) is None


def test_the_order_of_the_columns_does_not_matter():
    values = steps(np.random.default_rng(5).integers(1, 5, 900), 100.0, 12.0)
    one, two = count_atoms(values), count_atoms(values[::-1])
    assert np.array_equal(one.means, two.means)
