import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from stemdask.kernels.images.stacks.scan_distortion import lattice_residuals, line_shifts

SIZE, SPACING, NOISE = 512, 14.0, 0.08


def lattice(angle=7.0, seed=0):
    """Return positions, indices and noise of the columns of a square lattice that fills the image."""
    turn = np.deg2rad(angle)
    basis = SPACING * np.array([[-np.sin(turn), np.cos(turn)], [np.cos(turn), np.sin(turn)]])
    cells = np.stack(np.meshgrid(np.arange(-60, 60), np.arange(-60, 60)), axis=-1).reshape(-1, 2)
    positions = SIZE / 2 + cells @ basis
    cells = cells[((positions > 8) & (positions < SIZE - 8)).all(axis=1)]
    noise = np.random.default_rng(seed).normal(0, NOISE, (len(cells), 2))
    return SIZE / 2 + cells @ basis, cells, noise


def jitter(seed=1, rms=0.16):
    """Return what columns of 3 px feel of rows that are shifted independently."""
    felt = gaussian_filter1d(np.random.default_rng(seed).normal(size=SIZE), 3 / 2**0.5, mode="wrap")
    return rms * felt / felt.std()


def found(positions, cells, along, axis=1, length=3.0, order=3, trusted=None):
    residual = lattice_residuals(positions, cells[:, 0], cells[:, 1], order, trusted)
    return line_shifts((positions - residual)[:, along], residual[:, axis], np.full(len(cells), NOISE), SIZE, length)


def test_row_jitter_is_found_and_its_removal_leaves_the_noise_of_the_columns():
    truth, cells, noise = lattice()
    shift = jitter()
    positions = truth + noise
    positions[:, 1] += np.interp(truth[:, 0], np.arange(SIZE), shift)
    rows = found(positions, cells, along=0)
    assert rows.strength == pytest.approx(0.16, rel=0.15)
    inner = slice(12, -12)
    lines = np.arange(SIZE)
    slow = np.polyval(np.polyfit(lines, rows.shift - shift, 3), lines)  # what can't be told from a strain
    assert slow.std() < 0.5 * shift.std()
    error = (rows.shift - shift - slow)[inner]
    assert error.std() < 0.5 * shift.std()
    assert np.std(error / rows.error[inner]) == pytest.approx(1.0, abs=0.25)
    before = positions[:, 1] - truth[:, 1]
    after = before - np.interp(positions[:, 0], np.arange(SIZE), rows.shift)
    assert before.std() > 2 * NOISE
    assert after.std() < 1.2 * NOISE


def test_flyback_bends_the_start_of_each_row():
    truth, cells, noise = lattice()
    positions = truth + noise
    bend = 0.5 * np.exp(-np.arange(SIZE) / 25)
    positions[:, 1] += np.interp(truth[:, 1], np.arange(SIZE), bend)
    columns = found(positions, cells, along=1, length=7.0, order=2, trusted=positions[:, 1] > 0.1 * SIZE)
    assert columns.shift[10:40] == pytest.approx(bend[10:40], abs=0.12)
    assert np.abs(columns.shift[100:]).max() < 0.05


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("angle", [0.0, 7.0, 45.0])
def test_nothing_is_found_where_there_is_nothing(seed, angle):
    truth, cells, noise = lattice(angle, seed)
    for along, order, trusted in ((0, 3, None), (1, 2, truth[:, 1] > 0.1 * SIZE)):
        lines = found(truth + noise, cells, along=along, order=order, trusted=trusted)
        assert lines.strength == 0.0
        assert not lines.shift.any()


def test_a_slow_strain_is_not_taken_for_the_scan():
    truth, cells, noise = lattice()
    positions = truth + noise
    positions[:, 1] += 3.0 * (truth[:, 0] / SIZE) ** 2
    assert found(positions, cells, along=0).strength == 0.0


def test_lines_without_columns_are_left_alone():
    truth, cells, noise = lattice(angle=0.0)  # rows of columns every 14 px
    shift = jitter(rms=0.3)
    positions = truth + noise
    positions[:, 1] += np.interp(truth[:, 0], np.arange(SIZE), shift)
    rows = found(positions, cells, along=0, length=1.5)
    on = np.unique(np.rint(truth[:, 0]).astype(int))
    between = on[:-1] + 7
    assert np.abs(rows.shift[between]).max() < 0.02
    assert np.abs(rows.shift[on] - shift[on]).mean() < 0.1


@pytest.mark.parametrize("n", [0, 1, 19])
def test_too_few_columns_say_nothing(n):
    truth, cells, _ = lattice()
    assert np.isnan(lattice_residuals(truth[:n], cells[:n, 0], cells[:n, 1])).all()
    rows = line_shifts(truth[:n, 0], truth[:n, 1], np.ones(n), SIZE, 3.0)
    assert rows.strength == 0.0
    assert rows.shift.shape == (SIZE,)
