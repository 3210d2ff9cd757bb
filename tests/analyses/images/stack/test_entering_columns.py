"""Columns that drift into the field are found, under one index, and none where there are none."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from stemdask.analyses.images.columns import columns
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.analyses.images.stack.registration import RegistrationParams
from stemdask.simulate import perovskite, stack

CELL = 14.0
AREA = {
    "shape": (160, 160),
    "spacing": CELL,
    "rotation": 5.0,
    "sigma_a": 2.3,
    "sigma_b": 2.3,
    "electrons_a": 2000.0,
    "electrons_b": 800.0,
    "background": 1.0,
}
CHAIN = (("registration", RegistrationParams(average=False)), ("columns", ColumnsParams()))
#: Columns less than half the shortest distance of two from the border aren't measured; px, with some room.
BORDER = 7.0


def drift(y, x, frames=6):
    return np.linspace(0.0, 1.0, frames)[:, None] * [y, x]


def followed(found, shifts):
    """Return the places (frame, site, 2) of all columns, px, as in a frame without drift; NaN where there is none."""
    return np.stack([found[f"columns/{axis}"] for axis in "yx"], axis=-1) - shifts[:, None]


def found_of_those_in_the_field(places, truth, shifts, shape):
    """Return the part of the true columns (n, 2) in each frame that are found there."""
    parts = []
    for place, shift in zip(places, shifts, strict=True):
        inside = ((truth + shift >= BORDER) & (truth + shift <= np.array(shape) - 1 - BORDER)).all(axis=1)
        off, _ = KDTree(place[np.isfinite(place[:, 0])]).query(truth[inside])
        parts.append(np.mean(off < 0.15 * CELL))
    return np.array(parts)


def assert_one_index(places, truth):
    """Check that a site is the same column in all frames, no column has two sites, and each is a true one."""
    tree = KDTree(truth)
    known = np.isfinite(places[..., 0])
    off, which = tree.query(places[known])
    assert off.max() < 0.2 * CELL
    site = np.nonzero(known)[1]
    pairs = np.unique(np.column_stack([site, which]), axis=0)
    assert len(pairs) == len(np.unique(site)) == len(np.unique(which))


@pytest.mark.long
@pytest.mark.parametrize("way", [(0.0, 2 * CELL), (0.0, 37.0), (0.0, -37.0), (26.0, 26.0)])
def test_columns_that_enter_the_field_are_found_as_those_that_were_there(analysed, monkeypatch, way):
    steps = []

    def counted(*args, **kwargs):
        fit = fit_joint(*args, **kwargs)
        steps.append(fit.iterations)
        return fit

    fit_joint = columns.fit_joint
    monkeypatch.setattr(columns, "fit_joint", counted)
    shifts = drift(*way)
    frames, truth = stack(6, drift=shifts, **AREA)
    found = analysed(frames, *CHAIN).results
    places = followed(found, shifts)
    parts = found_of_those_in_the_field(places, truth.frame.positions, shifts, AREA["shape"])
    assert (parts >= 0.99).all()
    assert_one_index(places, truth.frame.positions)
    assert (found["columns/flag"] <= 0).all()
    assert sum(steps[-2:]) <= 1.5 * sum(
        steps[:2]
    )  # light that the model knows nothing of takes two to six times as many


@pytest.mark.long
def test_a_particle_that_drifts_brings_no_columns_into_the_vacuum(analysed):
    shifts = drift(0.0, -37.0)
    particle = {"thickness": lambda at: np.hypot(at[:, 0] - 80.0, at[:, 1] - 105.0) < 62.0}
    frames, truth = stack(6, drift=shifts, **AREA, **particle)
    there = truth.frame.positions[truth.frame.electrons > 0]
    found = analysed(frames, *CHAIN).results
    assert len(there) == (found["columns/site_i"] >= 0).sum()
    places = followed(found, shifts)
    assert_one_index(places, there)
    assert (found_of_those_in_the_field(places, there, shifts, AREA["shape"]) >= 0.99).all()


@pytest.mark.long
def test_an_edge_that_enters_the_field_ends_the_columns(analysed):
    shifts = drift(0.0, 37.0)
    frames, truth = stack(6, drift=shifts, **AREA, thickness=lambda at: at[:, 1] > -15.0)
    there = truth.frame.positions[truth.frame.electrons > 0]
    places = followed(analysed(frames, *CHAIN).results, shifts)
    assert_one_index(places, there)
    assert (found_of_those_in_the_field(places, there, shifts, AREA["shape"]) >= 0.99).all()


@pytest.mark.long
def test_columns_keep_their_index_while_a_domain_wall_moves_through_them(analysed):
    shifts = drift(0.0, 37.0)

    def frame(k):
        wall = 40.0 + 15.0 * k
        return perovskite(
            **AREA,
            displacement=lambda at: np.where(at[:, :1] < wall, [[0.8, 0.0]], [[-0.8, 0.0]]),
            shift=tuple(shifts[k]),
            margin=40.0,
            noise_seed=k,
        )[0]

    places = followed(analysed([frame(k) for k in range(6)], *CHAIN).results, shifts)
    truth = perovskite(**AREA, margin=40.0)[1].positions
    assert_one_index(places, truth)
    assert (found_of_those_in_the_field(places, truth, shifts, AREA["shape"]) >= 0.99).all()
