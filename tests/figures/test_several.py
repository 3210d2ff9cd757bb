"""Several frames in one figure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn import assert_drawn

from stemdask.figures.several import BESIDE, beside, frame_map


@pytest.mark.parametrize(("good", "shown"), [([], []), ([3], [3]), ([1, 2, 5], [1, 2, 5])])
def test_few_frames_are_all_shown(good: list[int], shown: list[int]) -> None:
    results: Any = SimpleNamespace(good=lambda: np.array(good, int))
    assert beside(results) == shown


def test_of_many_frames_some_are_shown_evenly_with_both_ends() -> None:
    results: Any = SimpleNamespace(good=lambda: np.arange(101))
    assert beside(results) == [0, 20, 40, 60, 80, 100]
    assert len(beside(results)) == BESIDE


def test_a_map_has_a_column_for_each_frame_and_none_where_it_failed() -> None:
    values = np.arange(40.0).reshape(8, 5)
    values[3] = np.nan
    figure = frame_map(np.linspace(0.1, 0.9, 5), values, "r / Å", "g(r)")
    (image,) = figure.axes[0].images
    np.testing.assert_array_equal(np.isnan(image.get_array().filled(np.nan)).all(axis=0), np.arange(8) == 3)
    assert image.get_extent() == pytest.approx((-0.5, 7.5, 0.0, 1.0))
    assert_drawn(figure)
