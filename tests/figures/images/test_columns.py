from __future__ import annotations

import numpy as np
import xarray as xr
from drawn import assert_drawn, legend, title

from stemdask.figures.images.columns import overlay
from stemdask.figures.style import MUTED, SUBLATTICES
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, NOT_CONVERGED, RAN_AWAY
from stemdask.model import ImageFrame

FRAME = ImageFrame(0, np.random.default_rng(0).random((40, 50)), (0.1, 0.1))


def columns(kinds, units="nm"):
    n = len(kinds)
    data = {"y": ("column", np.append(0.2 + 0.5 * np.arange(n), np.nan), {"units": units})}
    data["x"] = ("column", np.append(0.3 + 0.4 * np.arange(n), np.nan), {"units": units})
    data["flag"] = ("column", np.zeros(n + 1, np.int8))
    return xr.Dataset(data | {"sublattice": ("column", np.append(kinds, -1).astype(int))})


def test_each_sublattice_is_counted_and_drawn_in_its_colour_where_its_columns_are():
    found = columns([0, 1, 0, -1, 0])
    figure = overlay(FRAME, found)
    (axes,) = figure.axes
    assert title(axes) == "Columns found: 5"
    assert legend(axes) == ["none: 1", "A: 3", "B: 1"]
    none, a, _ = axes.collections
    np.testing.assert_allclose(a.get_offsets(), np.stack([found["x"], found["y"]], axis=1)[[0, 2, 4]])
    drawn = [tuple(np.round(255 * group.get_edgecolors()[0][:3]).astype(int)) for group in axes.collections]
    assert drawn == [tuple(bytes.fromhex(colour[1:])) for colour in (MUTED, *SUBLATTICES[:2])]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x / nm", "y / nm")
    assert len(none.get_offsets()) == 1
    assert_drawn(figure)


def test_columns_without_a_lattice_are_of_one_kind_and_those_that_could_not_be_measured_of_none():
    found = columns([0, 1, 0, 0]).drop_vars("sublattice")
    found["flag"][:] = [0, NOT_CONVERGED, NO_SIGNAL, RAN_AWAY, -1]
    (axes,) = overlay(FRAME, found).axes
    assert legend(axes) == ["none: 2", "A: 2"]


def test_pixels_are_the_unit_of_an_image_without_calibration():
    assert overlay(FRAME, columns([0, 1], "pixel")).axes[0].get_xlabel() == "x / px"


def test_an_image_without_columns_is_drawn_alone():
    figure = overlay(FRAME, columns([]))
    assert title(figure.axes[0]) == "Columns found: 0"
    assert not figure.axes[0].collections
    assert_drawn(figure)
