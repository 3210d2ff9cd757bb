from __future__ import annotations

import matplotlib as mpl
import pytest

from stemdask.analyses import registry
from stemdask.figures.style import frame_axis, new, style
from stemdask.units import symbol


@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_no_unit_of_the_store_is_printed_raw(kind):
    declared = [
        v for a in registry.of_kind(kind) for v in (a.outputs(a.params(), {}) if a.derives else a.outputs(a.params()))
    ]
    printed = {symbol(variable.units) for variable in declared}
    assert len(printed) > 3
    assert not [text for text in printed if any(raw in text for raw in ("angstrom", "degree", "pixel", "^", "2", "3"))]


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
