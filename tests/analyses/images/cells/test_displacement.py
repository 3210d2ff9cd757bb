"""The errors of displacements know what the columns of a cell have in common."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask import simulate
from stemdask.analyses import chain, registry
from stemdask.analyses.images.cells import displacement
from stemdask.analyses.images.columns import columns
from stemdask.model import ImageFrame, Step

PIXEL = 0.03


def analysed(*, calibrated: bool = True, **params: object) -> tuple[ImageFrame, dict[str, np.ndarray], simulate.Truth]:
    image, truth = simulate.perovskite((220, 220), 10.4, sigma_a=2.4, sigma_b=2.4, seed=4)
    frame = ImageFrame(0, image, (PIXEL, PIXEL), calibrated=calibrated)
    steps = [Step(name, registry.get("images", name).params()) for name in ("columns", "lattice")]
    steps.append(Step("displacement", displacement.DisplacementParams(**params)))
    return frame, chain.analyse("images", steps, frame), truth


@pytest.mark.parametrize("reference", ["neighbours", "line"])
def test_errors_hold_the_covariance_of_overlapping_columns(reference: str) -> None:
    """At 3.1 widths a B column and its A neighbours are drawn together, which independent errors overstate."""
    frame, found, _ = analysed(reference=reference)
    alone = columns.covariance_of(frame)
    of = found[displacement.COLUMN.path]
    b_only = 1e3 * np.sqrt(alone.own[of][:, [1, 0], [1, 0]])
    stated = np.column_stack([found[displacement.U_ERR.path], found[displacement.V_ERR.path]])
    pull = np.column_stack([found[displacement.U.path], found[displacement.V.path]]) / stated
    assert np.all(stated > 0.8 * b_only)
    assert not np.allclose(stated, np.hypot(b_only, 0.5 * b_only), rtol=0.02)
    assert pull.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * pull.size))


def test_pairs_name_columns_of_the_frame_and_each_pair_once() -> None:
    frame, found, _ = analysed()
    pairs = frame[columns.PAIRS]
    assert len(pairs) > 0
    assert pairs.min() >= 0
    assert pairs.max() < len(found[columns.Y.path])
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == len(pairs)
    place = np.column_stack([found[columns.Y.path], found[columns.X.path]])
    apart = np.linalg.norm(place[pairs[:, 0]] - place[pairs[:, 1]], axis=1) / PIXEL
    assert apart.max() < 6.5 * 2.4


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_polarisation_needs_a_pixel_size(calibrated: bool) -> None:
    _, found, _ = analysed(born_charge=5.0, calibrated=calibrated)
    known = np.isfinite(found[displacement.POLARISATION_U.path])
    assert known.all() if calibrated else not known.any()
    assert np.isfinite(found[displacement.U.path]).all()


def test_what_all_displacements_share_is_stated_apart_and_counts_against_zero() -> None:
    """Columns at 3.1 widths: which shape they have moves their mean more than the noise does."""
    _, found, _ = analysed()
    shared = np.array([float(found[variable.path]) for variable in (displacement.U_SYS, displacement.V_SYS)])
    stated = np.median([found[displacement.U_ERR.path], found[displacement.V_ERR.path]], axis=1)
    vector = np.column_stack([found[displacement.U.path], found[displacement.V.path]])
    assert np.all(shared > stated / np.sqrt(len(vector)))
    assert np.all(np.abs(vector.mean(axis=0)) < 2.0 * shared)
    assert np.mean(found[displacement.SIGNIFICANT.path] == 1) < 0.05


def test_a_displacement_without_its_mean_is_significant_by_its_own_error() -> None:
    _, whole, _ = analysed()
    _, relative, _ = analysed(remove="mean")
    of = displacement.SIGNIFICANT.path
    assert np.mean(relative[of] == 1) >= np.mean(whole[of] == 1)
    assert float(relative[displacement.U_SYS.path]) == float(whole[displacement.U_SYS.path])
