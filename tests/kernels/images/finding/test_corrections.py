"""Columns added, removed and moved by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stemdask.kernels.images.finding.columns import Columns, find_columns
from stemdask.kernels.images.finding.corrections import ADD, MOVE, REMOVE, CorrectionError, Corrections, correct
from stemdask.simulate import perovskite

SHAPE = (160, 160)


@pytest.fixture(scope="module")
def found() -> Columns:
    return find_columns(perovskite(SHAPE, 14.0, seed=0)[0])


def one(action: int, place: np.ndarray, new: np.ndarray | None = None) -> Corrections:
    nowhere = np.full(2, np.nan) if new is None else new
    return Corrections(np.array([action], np.int8), np.array([place], float), np.array([nowhere], float))


def inside(found: Columns, sublattice: int) -> int:
    """Return the number of a column near the middle."""
    distance = np.hypot(*(found.positions - 80.0).T) + np.where(found.sublattice == sublattice, 0.0, 1e9)
    return int(np.argmin(distance))


@pytest.mark.parametrize("sublattice", [0, 1])
def test_a_column_that_was_removed_and_added_again_is_of_the_same_cell(found: Columns, sublattice: int) -> None:
    number = inside(found, sublattice)
    place = found.positions[number]
    less = correct(found, one(REMOVE, place + 1.0), SHAPE)
    assert len(less.positions) == len(found.positions) - 1
    assert len(less.ghosts) == len(found.ghosts) + 1
    again = correct(less, one(ADD, place + np.array([0.8, -0.5])), SHAPE)
    assert len(again.ghosts) == len(found.ghosts)
    last = again.sublattice[-1], again.i[-1], again.j[-1], again.grain[-1], again.interior[-1]
    assert last == (sublattice, found.i[number], found.j[number], found.grain[number], True)


def test_a_moved_column_keeps_its_cell(found: Columns) -> None:
    number = inside(found, 1)
    new = found.positions[number] + np.array([2.0, 1.0])
    moved = correct(found, one(MOVE, found.positions[number], new), SHAPE)
    np.testing.assert_array_equal(moved.positions[number], new)
    for name in ("sublattice", "i", "j", "grain", "interior"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(found, name))


def test_a_column_between_the_sites_belongs_to_no_sublattice(found: Columns) -> None:
    corner, centre = found.positions[inside(found, 0)], found.positions[inside(found, 1)]
    between = 0.5 * (corner + centre)
    assert correct(found, one(ADD, between), SHAPE).sublattice[-1] == -1


def test_a_column_beyond_the_first_cell_leaves_no_negative_index(found: Columns) -> None:
    first = found.i <= found.i[found.interior].min()
    less = replace(
        found,
        **{name: getattr(found, name)[~first] for name in ("positions", "sublattice", "grain", "interior", "j")},
        i=found.i[~first] - found.i[~first].min(),
    )
    number = int(np.flatnonzero(first & found.interior & (found.sublattice == 0))[3])
    more = correct(less, one(ADD, found.positions[number]), SHAPE)
    assert (more.i[-1], more.i.min()) == (0, 0)
    np.testing.assert_array_equal(more.i[:-1], less.i + 1)
    assert more.sublattice[-1] == found.sublattice[number]


def test_corrections_follow_each_other(found: Columns) -> None:
    place = found.positions[inside(found, 0)]
    new = place + np.array([2.0, 0.0])
    steps = [one(MOVE, place, new), one(REMOVE, new), one(ADD, place)]
    joined = Corrections(*(np.concatenate([getattr(s, name) for s in steps]) for name in ("action", "place", "new")))
    assert len(correct(found, joined, SHAPE).positions) == len(found.positions)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (one(REMOVE, np.array([-30.0, 20.0])), "no column was found there"),
        (one(MOVE, np.array([80.0, 500.0]), np.array([80.0, 80.0])), "no column was found there"),
        (one(ADD, np.array([1.0, 80.0])), "from the border can't be measured"),
        (one(ADD, np.array([np.nan, 80.0])), "from the border can't be measured"),
    ],
)
def test_what_means_no_column_is_refused(found: Columns, given: Corrections, why: str) -> None:
    with pytest.raises(CorrectionError, match=why):
        correct(found, given, SHAPE)


def test_a_second_column_on_a_place_is_refused(found: Columns) -> None:
    a, b = found.positions[inside(found, 0)], found.positions[inside(found, 1)]
    for given in (one(ADD, a + 1.0), one(MOVE, a, b + 1.0)):
        with pytest.raises(CorrectionError, match="there is a column already") as refusal:
            correct(found, given, SHAPE)
        assert refusal.value.number == 0
