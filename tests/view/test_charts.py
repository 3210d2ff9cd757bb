"""Charts beside the map have finite ranges at every moment, also before the first value is read."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("panel", reason="panel is not installed")


def _over_frames(n_frames: int):  # type: ignore[no-untyped-def]
    from stemdask.view.charts import OverFrames

    return OverFrames(n_frames, lambda frame: None)


def _ranges(chart: object) -> list[float]:
    x, y = chart.x_range, chart.y_range  # type: ignore[attr-defined]
    return [x.start, x.end, y.start, y.end]


@pytest.mark.parametrize("n_frames", [1, 7])
def test_a_series_without_a_value_yet_has_finite_ranges(n_frames: int):
    series = _over_frames(n_frames)
    series.draw("nothing yet", np.full(n_frames, np.nan), np.full(n_frames, np.nan))
    assert np.isfinite(_ranges(series.chart)).all()
    assert _ranges(series.chart)[0] < 0 <= n_frames - 1 < _ranges(series.chart)[1]


def test_a_series_shows_all_values_with_their_errors_and_returns_to_them():
    series = _over_frames(4)
    series.draw("u / pm", np.array([np.nan, 2.0, 5.0, 3.0]), np.array([np.nan, 0.5, 1.0, np.nan]))
    _, _, bottom, top = _ranges(series.chart)
    assert bottom < 1.5 < 6.0 < top < 7.0
    assert (series.chart.y_range.reset_start, series.chart.y_range.reset_end) == (bottom, top)


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_one_value_that_never_changes_lies_inside_its_chart(value: float):
    series = _over_frames(3)
    series.draw("constant", np.full(3, value))
    _, _, bottom, top = _ranges(series.chart)
    assert bottom < value < top


def test_per_cent_of_all_reach_hardly_beyond_a_hundred():
    series = _over_frames(3)
    series.draw("measured / %", np.array([100.0, 98.0, 99.0]))
    bottom, top = _ranges(series.chart)[2:]
    assert bottom < 98.0
    assert 100.0 < top < 100.1
    series.draw("strain / %", np.array([120.0, 98.0, 99.0]))
    assert _ranges(series.chart)[3] > 120.0
