"""Shifts of the scan's lines are read from all sublattices where each has few lines of its own, else from two."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.analyses.images.cells.line_noise import line_noise
from stemdask.kernels.images.crystal.line_noise import LineNoise
from stemdask.model import ImageFrame

PIXEL, SHIFT, NOISE = 0.01, 0.2, 0.05  # nm, px, px


def told(height: float, rows: int, motif: list[tuple[float, float]], seed: int, *, turned: bool = False) -> LineNoise:
    """Return what columns tell at (y, x) of cells `height` px high and 30 wide, whose rows are shifted along them."""
    rng = np.random.default_rng(seed)
    i, j = np.tile(np.arange(12), rows), np.repeat(np.arange(rows), 12)
    parts = [np.column_stack([height * (j + y), 30.0 * (i + x)]) for y, x in motif]
    positions = np.concatenate(parts)
    _, line = np.unique(positions[:, 0].round(3), return_inverse=True)
    positions[:, 1] += rng.normal(0.0, SHIFT, line.max() + 1)[line]
    positions += rng.normal(0.0, NOISE, positions.shape)
    positions = positions[:, ::-1] if turned else positions
    n, one = len(positions), len(i)
    found = {
        "columns/y": PIXEL * positions[:, 0],
        "columns/x": PIXEL * positions[:, 1],
        "columns/sublattice": np.repeat(np.arange(len(motif)), one).astype(np.int8),
        "columns/grain": np.zeros(n, np.int8),
        "columns/i": np.tile(j if turned else i, len(motif)).astype(np.int32),
        "columns/j": np.tile(i if turned else j, len(motif)).astype(np.int32),
        "columns/sigma_major": np.full(n, 3.0 * PIXEL),
        "columns/sigma_minor": np.full(n, 3.0 * PIXEL),
        "columns/rotation": np.zeros(n),
        "columns/amplitude": np.full(n, 100.0),
        "columns/background": np.full(n, 500.0),
        "columns/noise_gain": np.array(0.0),
        "columns/noise_readout": np.array(1.0),
    }
    shape = (int(height * rows), 360)
    pixels = np.zeros(shape[::-1] if turned else shape, np.float32)
    return line_noise(ImageFrame(0, pixels, (PIXEL, PIXEL), results=found), 0, 1)


LAYERED = [(0.0, 0.0), (0.16, 0.5), (0.31, 0.0), (0.46, 0.5), (0.62, 0.0), (0.8, 0.5)]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("height", "rows", "motif"), [(120.0, 4, LAYERED), (30.0, 14, [(0.0, 0.0), (0.5, 0.5)])], ids=["layered", "square"]
)
def test_shifts_of_rows_are_told_by_cells_of_any_height(
    height: float, rows: int, motif: list[tuple[float, float]], turned: bool
) -> None:
    every = [told(height, rows, motif, seed, turned=turned) for seed in range(20)]
    along = [found.variance[int(turned)] for found in every]
    assert np.mean(along) == pytest.approx((1e3 * PIXEL * SHIFT) ** 2, rel=0.3)
    across = 1e3 * PIXEL * height * (rows - 1 + max(y for y, _ in motif))
    np.testing.assert_allclose([np.ptp(found.line) for found in every], across, rtol=0.01)
    assert np.mean([found.variance[int(not turned)] for found in every]) < 0.1 * np.mean(along)
    assert every[0].freedom > 8.0


def test_faint_columns_that_shifts_move_across_the_lines_are_no_shifts_across_them() -> None:
    """On four rows of cells all sublattices tell; those beside bright columns move along y with each shift along x."""
    rng = np.random.default_rng(0)
    height, rows = 120.0, 4
    motif, heights = [(0.0, 0.0), (0.085, 0.25), (0.5, 0.5), (0.585, 0.75)], [1000.0, 60.0, 1000.0, 60.0]
    i, j = np.tile(np.arange(12), rows), np.repeat(np.arange(rows), 12)
    positions = np.concatenate([np.column_stack([height * (j + y), 40.0 * (i + x)]) for y, x in motif])
    kind = np.repeat(np.arange(len(motif)), len(i))

    def found(positions: np.ndarray) -> LineNoise:
        one = {
            "columns/y": PIXEL * positions[:, 0],
            "columns/x": PIXEL * positions[:, 1],
            "columns/sublattice": kind.astype(np.int8),
            "columns/grain": np.zeros(len(kind), np.int8),
            "columns/i": np.tile(i, len(motif)).astype(np.int32),
            "columns/j": np.tile(j, len(motif)).astype(np.int32),
            "columns/sigma_major": np.full(len(kind), 4.0 * PIXEL),
            "columns/sigma_minor": np.full(len(kind), 4.0 * PIXEL),
            "columns/rotation": np.zeros(len(kind)),
            "columns/amplitude": np.array(heights)[kind],
            "columns/background": np.full(len(kind), 20.0),
            "columns/noise_gain": np.array(1.0),
            "columns/noise_readout": np.array(0.0),
        }
        return line_noise(ImageFrame(0, np.zeros((480, 480), np.float32), (PIXEL, PIXEL), results=one), 0, 1)

    response = found(positions).response
    strength = np.array([response.strength(k)[0] for k in range(len(motif))])[kind]  # by shifts along u, of (u, v)
    assert strength[kind == 1, 1].max() > 0.5
    _, line = np.unique(positions[:, 0].round(3), return_inverse=True)
    along = []
    for _ in range(20):
        shifts = rng.normal(0.0, SHIFT, (line.max() + 1, 2))[line] * np.sqrt(strength)
        along.append(found(positions + shifts[:, ::-1] + rng.normal(0.0, NOISE, positions.shape)).variance)
    u, v = np.mean(along, axis=0)
    assert u == pytest.approx((1e3 * PIXEL * SHIFT) ** 2, rel=0.3)
    assert v < 0.1 * u
