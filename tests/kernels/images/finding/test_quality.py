from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stemdask.kernels.images.finding.columns import Columns, find_columns
from stemdask.kernels.images.finding.quality import Quality, assess
from stemdask.kernels.images.finding.separation import LatticeVectors
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, NOT_CONVERGED, RAN_AWAY, ColumnFit
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.fitting.noise import Noise
from stemdask.simulate import MotifColumn, lattice_image

SIDE, SPACING = 11, 10.0
I, J = (index.ravel().astype(np.int32) for index in np.indices((SIDE, SIDE)))  # noqa: E741
N = len(I)
IMAGE = np.zeros((100, 100), np.float32)


def found(grain: np.ndarray | None = None) -> Columns:
    return Columns(
        positions=SPACING * np.stack([J, I], axis=1).astype(float),
        sublattice=np.zeros(N, np.int8),
        i=I,
        j=J,
        grain=np.zeros(N, np.int8) if grain is None else grain,
        interior=np.ones(N, bool),
        ghosts=np.empty((0, 2)),
        ghost_sublattice=np.empty(0, np.int8),
        ghost_grain=np.empty(0, np.int8),
        vectors=LatticeVectors(np.array([0.0, SPACING]), np.array([SPACING, 0.0]), 1.0),
        distance=SPACING,
        widths=np.array([2.0]),
        too_faint=np.empty(0),
        left_out=np.empty((0, 2)),
    )


def fitted(**more: np.ndarray) -> ColumnFit:
    values = {
        "positions": found().positions,
        "errors": np.full((N, 2), 0.01),
        "amplitude": np.full(N, 100.0),
        "amplitude_err": np.full(N, 1.0),
        "sigma_major": np.full(N, 2.0),
        "sigma_minor": np.full(N, 2.0),
        "rotation": np.zeros(N),
        "background": np.full(N, 50.0),
        "reduced_chi2": np.ones(N),
        "flag": np.zeros(N, np.int8),
    } | more
    return ColumnFit(**values, noise=Noise(1.0, 0.0), iterations=3, sublattice=np.zeros(N, np.int8))  # type: ignore[arg-type]


def assessed(**more: np.ndarray) -> Quality:
    return assess(found(), fitted(**more), IMAGE)


def test_a_perfect_crystal_has_no_fault() -> None:
    quality = assessed()
    assert quality.usable_part == quality.converged == 1.0
    assert quality.scatter == pytest.approx(0.0, abs=1e-9)
    assert (quality.misfit, quality.unevenness, quality.inversion) == (0.0, 0.0, 0.0)
    assert quality.width == pytest.approx(0.2, rel=1e-5)


def test_fits_without_a_signal_and_those_that_ran_away_are_not_usable_and_others_are() -> None:
    flag = np.zeros(N, np.int8)
    flag[:3], flag[3:5], flag[5:9] = NO_SIGNAL, RAN_AWAY, NOT_CONVERGED
    quality = assessed(flag=flag)
    assert np.flatnonzero(~quality.usable).tolist() == [0, 1, 2, 3, 4]
    assert quality.converged == pytest.approx(1 - 4 / N)


def test_the_scatter_is_the_distance_from_where_the_neighbours_expect_a_column() -> None:
    shifts = np.random.default_rng(0).normal(0, 0.5, (N, 2))
    quality = assessed(positions=found().positions + shifts)
    # Of a column and of the mean of those around it, by a median of Rayleigh's distribution.
    assert quality.scatter == pytest.approx(0.05 * 1.18 * np.sqrt(1 + 1 / 8), rel=0.15)


def test_what_all_columns_share_is_no_scatter() -> None:
    strained = found().positions * [1.0, 1.03] + 0.02 * found().positions[:, ::-1] + 3.0
    assert assessed(positions=strained).scatter < 2e-3


def test_each_grain_is_compared_with_itself() -> None:
    second = (I > 5).astype(np.int8)
    heights = np.where(second, 300.0, 100.0)
    positions = found().positions + np.where(second, 3.0, 0.0)[:, None]
    quality = assess(found(second), fitted(positions=positions, amplitude=heights), IMAGE)
    assert quality.scatter == pytest.approx(0.0, abs=1e-9)
    assert quality.unevenness == 0.0


def test_a_misfit_is_what_the_noise_does_not_explain() -> None:
    # Counts: the variance is that of the brightness half way up.
    assert assessed(reduced_chi2=np.full(N, 5.0)).misfit == pytest.approx(np.sqrt(4 * 100.0) / 100.0)
    assert assessed(reduced_chi2=np.full(N, 0.9)).misfit == 0.0


def test_noise_and_slopes_of_the_heights_are_not_uneven_but_an_alloy_is() -> None:
    rng = np.random.default_rng(1)
    noisy = assessed(amplitude=100.0 * np.exp(0.1 * I) + rng.normal(0, 10, N), amplitude_err=np.full(N, 10.0))
    assert noisy.unevenness < 0.06
    assert assessed(amplitude=rng.choice([100.0, 150.0], N)).unevenness > 0.15


@pytest.mark.parametrize("radius", [5.6, 8.0])
def test_heights_of_a_round_particle_and_of_a_steep_wedge_are_not_uneven(radius: float) -> None:
    dome = 100.0 * np.sqrt(np.clip(1.0 - ((I - 5) ** 2 + (J - 5) ** 2) / radius**2, 1e-3, None))
    assert assessed(amplitude=dome).unevenness < 0.1
    assert assessed(amplitude=100.0 * np.exp(0.6 * I - 0.4 * J)).unevenness == pytest.approx(0.0, abs=1e-6)
    spots = dome * np.random.default_rng(3).exponential(size=N)
    assert assessed(amplitude=spots).unevenness > 0.35


def test_the_evenest_sublattice_counts() -> None:
    two = replace(found(), sublattice=(I % 2).astype(np.int8), i=I // 2)
    heights = np.where(I % 2, 50.0, 100.0 * np.random.default_rng(2).exponential(size=N))
    assert assess(two, fitted(amplitude=heights), IMAGE).unevenness == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("counts", [50.0, 3_000.0])
@pytest.mark.parametrize("apart", [0.0, 9.0, 18.0])
def test_two_columns_nearer_than_the_image_resolves_are_seen_to_be_no_single_one(apart: float, counts: float) -> None:
    """9 px are 1.8 widths: one maximum. At 18 px there are two."""
    half, electrons = 0.5 * apart / 40.0, 2.0 * np.pi * 5.0**2 * counts
    pair = [MotifColumn((0.5 + side, 0.5), 0.3 * electrons, 5.0, 1) for side in (-half, half)]
    motif = (MotifColumn((0.0, 0.0), electrons, 5.0, 0), *pair)
    basis = np.array([[0.0, 40.0], [40.0, 0.0]])
    image = np.asarray(lattice_image((330, 340), basis, motif, background=0.1 * counts, seed=1)[0], np.float32)
    columns = find_columns(image)
    kinds = np.concatenate([columns.sublattice, columns.ghost_sublattice])
    start, held = np.concatenate([columns.positions, columns.ghosts]), np.arange(len(kinds)) >= len(columns.positions)
    fit = fit_joint(image, start, kinds, np.repeat(columns.widths, kinds.max() + 1), held=held)
    assert assess(columns, fit, image).unresolved == (apart == 9.0)


def test_a_brighter_sublattice_that_fits_badly_is_not_called_unresolved() -> None:
    two = replace(found(), sublattice=(I % 2).astype(np.int8), i=I // 2)
    worse, bright = np.where(I % 2, 9.0, 1.0), np.where(I % 2, 200.0, 100.0)
    assert not assess(two, fitted(amplitude=bright, reduced_chi2=worse), IMAGE).unresolved
    assert assess(two, fitted(amplitude=20_000 / bright, reduced_chi2=worse), IMAGE).unresolved


def test_spots_alike_on_both_sides_of_the_direct_beam_are_told_from_columns_and_superlattices() -> None:
    spots = np.random.default_rng(3).exponential(size=(SIDE, SIDE))
    alike = 100.0 * (spots + spots[::-1, ::-1]).ravel()
    assert assessed(amplitude=alike).inversion > 0.95
    assert assessed(amplitude=100.0 * spots.ravel()).inversion < 0.75
    assert assessed(amplitude=np.where((I + J) % 2, 100.0, 160.0)).inversion == 0.0


def test_noise_that_falls_with_the_brightness_is_told_in_either_contrast() -> None:
    y = np.indices((100, 100))[0]
    noise = np.random.default_rng(4).normal(size=(100, 100)) * np.where(y < 50, 1.0, 0.1)
    assert assess(found(), fitted(), 100.0 * y + noise).bright_noise < 0.1
    assert assess(found(), fitted(), 100.0 * y + noise, dark=True).bright_noise > 10.0


def test_what_a_fit_does_not_know_is_nan() -> None:
    unknown = np.full(N, np.nan)
    names = ("amplitude", "amplitude_err", "sigma_major", "background", "reduced_chi2")
    quality = assessed(**dict.fromkeys(names, unknown))
    assert np.isnan([quality.width, quality.misfit, quality.unevenness, quality.inversion]).all()
    assert quality.scatter == pytest.approx(0.0, abs=1e-9)


def test_of_nothing_nothing_is_known() -> None:
    none = assessed(flag=np.full(N, NO_SIGNAL))
    assert none.usable_part == 0.0
    assert np.isnan(none.scatter)
