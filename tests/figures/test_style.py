from __future__ import annotations

import matplotlib as mpl
import pytest

from stemdask.analyses import registry
from stemdask.figures.style import amount, frame_axis, new, quantity, style, unit


@pytest.mark.parametrize(
    ("stored", "printed"),
    [
        ("1", ""),
        ("nm", "nm"),
        ("pm2", "pm²"),
        ("pm^2", "pm²"),
        ("angstrom", "Å"),
        ("angstrom3", "Å³"),
        ("degree", "°"),
        ("pixel", "px"),
        ("1e-3 pixel", "10⁻³ px"),
        ("1/angstrom", "Å⁻¹"),
        ("angstrom3/angstrom", "Å³ Å⁻¹"),
        ("uC/cm2", "µC cm⁻²"),
        ("1e-6 C cm-2", "10⁻⁶ C cm⁻²"),
        ("counts per dose", "counts per dose"),
    ],
)
def test_units_are_printed_as_they_are_written_in_the_field(stored, printed):
    assert unit(stored) == printed


@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_no_unit_of_the_store_is_printed_raw(kind):
    declared = [v for a in registry.of_kind(kind) if not a.derives for v in a.outputs(a.params())]
    printed = {unit(variable.units) for variable in declared}
    assert len(printed) > 3
    assert not [text for text in printed if any(raw in text for raw in ("angstrom", "degree", "pixel", "^", "2", "3"))]


def test_a_number_stands_before_its_unit_and_a_power_of_ten_after_a_cross():
    assert amount("3.1", "pm") == "3.1 pm"
    assert amount("3.1", "1e-3 pixel") == "3.1 × 10⁻³ px"
    assert amount("3.1", "1") == "3.1"
    assert quantity("u", "1e-3 pixel") == "u / 10⁻³ px"


def test_the_look_is_left_behind():
    before = mpl.rcParams["font.size"]
    with style():
        assert mpl.rcParams["font.size"] == 9
    assert mpl.rcParams["font.size"] == before


def test_frames_are_counted_in_whole_numbers():
    _, axes = new()
    axes.plot([0, 1], [0, 1])
    frame_axis(axes)
    assert axes.get_xlabel() == "frame"
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
