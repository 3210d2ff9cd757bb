from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from stemdask.figures.atoms.structure import KINDS
from stemdask.figures.canvas import direction_colour
from stemdask.figures.style import MUTED, SUBLATTICES
from stemdask.results.blocks import Stored
from stemdask.view.colours import Scale


def stored(path: str, dtype: str = "float64", units: str = "pm", flags: dict[int, str] | None = None) -> Stored:
    return Stored(path, ("frame", "cell"), np.dtype(dtype), units, "a property", flags or {})


def hexes(scale: Scale, values: list[float]) -> list[str]:
    return [to_hex(np.array(colour) / 255)[:7] for colour in scale.colours(np.array(values))[:, :3]]


def test_sublattices_have_the_colours_of_the_figures_and_none_is_grey():
    values = np.array([-1, 0, 1])
    scale = Scale.of(stored("columns/sublattice", "int8", "1", {-1: "none", 0: "A", 1: "B"}), values)
    found = scale.colours(values)
    assert [to_hex(colour / 255.0) for colour in found[:, :3]] == [
        MUTED.lower(), SUBLATTICES[0].lower(), SUBLATTICES[1].lower(),
    ]  # fmt: skip
    np.testing.assert_array_equal(scale.counts(np.array([0.0, 1.0, 1.0])), [0, 1, 2])


def test_structure_types_have_the_colours_of_the_figures():
    scale = Scale.of(stored("atoms/structure", "int8", "1", {0: "disordered", 1: "fcc"}), np.array([0, 1]))
    assert hexes(scale, [1, 0]) == [KINDS["fcc"].lower(), KINDS["disordered"].lower()]


@pytest.mark.parametrize("degrees", [-170.0, -90.0, 0.0, 45.0, 135.0])
def test_directions_have_the_colours_of_the_wheel(degrees: float):
    scale = Scale.of(stored("displacement/angle", units="degree"), np.array([0.0]))
    for turns in (0.0, 360.0):
        np.testing.assert_allclose(
            scale.colours(np.array([degrees + turns]))[0, :3] / 255, direction_colour(degrees), atol=0.04
        )


def test_values_on_both_sides_of_zero_are_white_there():
    scale = Scale.of(stored("strain/exx", units="1"), np.linspace(-0.02, 0.01, 100))
    assert scale.low == -scale.high
    assert scale.colours(np.array([0.0]))[0, :3].min() > 235


def test_values_beyond_the_limits_are_counted_in_the_last_bars_and_what_is_not_known_in_none():
    scale = Scale.of(stored("displacement/magnitude"), np.linspace(1.0, 2.0, 1000))
    counts = scale.counts(np.array([0.0, 1.5, 99.0, np.nan]))
    assert counts.sum() == 3
    assert counts[0] == counts[-1] == 1


def test_what_is_not_known_or_not_usable_is_grey():
    scale = Scale.of(stored("displacement/magnitude"), np.linspace(1.0, 2.0, 10))
    found = scale.colours(np.array([1.5, np.nan, 1.5]), np.array([True, True, False]))
    np.testing.assert_array_equal(found[1, :3], np.round(255 * np.array(to_rgb(MUTED))))
    np.testing.assert_array_equal(found[1], found[2])
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("values", [np.zeros(0), np.full(3, np.nan), np.full(3, 2.0)])
def test_a_property_without_a_spread_has_a_scale(values: np.ndarray):
    scale = Scale.of(stored("displacement/magnitude"), values)
    assert scale.high > scale.low
    assert len(scale.bars()) > 1
