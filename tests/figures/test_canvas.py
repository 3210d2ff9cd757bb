from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, title
from skimage.color import rgb2lab

from stemdask.figures import canvas
from stemdask.figures.style import new
from stemdask.model import ImageFrame

GRID = np.indices((4, 5)).reshape(2, -1) * 0.4


def area(polygon):
    x, y = polygon.T
    return 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


LATTICES = {
    "square": ([[1.0, 0.0], [0.0, 1.0]], 4),
    "rectangular": ([[1.0, 0.0], [0.0, 1.42]], 4),
    "hexagonal": ([[1.0, 0.0], [0.5, 0.75**0.5]], 6),
    "oblique": ([[1.0, 0.0], [0.3, 1.2]], 6),
}


@pytest.mark.parametrize("degrees", [0, 17, 45, 80])
@pytest.mark.parametrize(("vectors", "corners"), LATTICES.values(), ids=LATTICES)
def test_cells_fill_a_lattice_without_overlap_however_it_is_turned(vectors, corners, degrees):
    y, x = _lattice(vectors, degrees)
    figure, axes = new()
    polygons = [path.vertices[:-1] for path in canvas.lattice_cells(axes, y, x).get_paths()]
    assert {len(polygon) for polygon in polygons} == {corners}
    np.testing.assert_allclose([polygon.mean(axis=0) for polygon in polygons], np.stack([x, y], axis=1), atol=1e-9)
    np.testing.assert_allclose([area(polygon) for polygon in polygons], 0.16 * abs(np.linalg.det(vectors)))
    assert_drawn(figure)


def _lattice(vectors, degrees):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.array(vectors).T @ np.indices((6, 7)).reshape(2, -1) * 0.4


def test_cells_of_a_noisy_lattice_with_gaps_are_as_large_as_those_of_the_lattice():
    random = np.random.default_rng(0)
    y, x = _lattice(LATTICES["rectangular"][0], 30) + random.normal(0, 0.012, (2, 42))
    there = random.random(42) > 0.2
    _, axes = new()
    drawn = canvas.lattice_cells(axes, y[there], x[there]).get_paths()[0].vertices[:-1]
    assert area(drawn) == pytest.approx(0.16 * 1.42, rel=0.05)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_cells_of_hardly_any_places_or_of_a_single_row_are_drawn(n):
    _, axes = new()
    assert len(canvas.lattice_cells(axes, np.ones(n), np.arange(float(n))).get_paths()) == n


def test_an_image_lies_where_its_pixels_are():
    frame = ImageFrame(0, np.arange(12.0).reshape(3, 4), (0.5, 0.25), (1.0, 2.0))
    figure, axes = new()
    canvas.show_image(axes, frame, "nm")
    left, right, bottom, top = axes.images[0].get_extent()
    assert (left, right, bottom, top) == (1.875, 2.875, 2.25, 0.75)
    assert axes.get_xlabel() == "x / nm"
    assert_drawn(figure)


def test_part_of_an_image_lies_where_it_does_in_the_whole():
    frame = ImageFrame(0, np.arange(12.0).reshape(3, 4), (0.5, 0.25), (1.0, 2.0))
    figure, axes = new()
    canvas.show_image(axes, frame, "nm", window=(slice(1, 3), slice(2, 4)))
    assert axes.images[0].get_extent() == [2.375, 2.875, 2.25, 1.25]
    assert axes.images[0].get_array().tolist() == [[6.0, 7.0], [10.0, 11.0]]
    assert_drawn(figure)


@pytest.mark.parametrize("offset", [0.0, 3e6])
def test_a_title_stands_right_above_an_image_wherever_the_field_lies(offset):
    frame = ImageFrame(0, np.arange(12.0).reshape(3, 4), (0.5, 0.25), (offset, offset))
    figure, axes = new()
    canvas.show_image(axes, frame, "nm")
    axes.set_title("one")
    assert_drawn(figure)
    assert axes.yaxis.get_offset_text().get_text() == axes.xaxis.get_offset_text().get_text() == ""
    assert axes.title.get_position()[1] == 1.0
    assert float(axes.get_yticklabels()[1].get_text().replace("−", "-")) == pytest.approx(offset, abs=2.0)


def test_an_image_without_pixels_is_drawn():
    _, axes = new()
    canvas.show_image(axes, ImageFrame(0, np.full((3, 4), np.nan), (1.0, 1.0)), "pixel")
    assert axes.get_ylabel() == "y / px"


def test_arrows_point_down_for_positive_v_and_are_as_long_as_they_should():
    y, x = GRID
    figure, axes = new()
    canvas.map_axes(axes, "nm")
    drawn = canvas.arrows(axes, y, x, np.full(20, 3.0), np.full(20, 4.0), typical=5.0)
    assert axes.yaxis_inverted()
    np.testing.assert_array_equal(drawn.U, 3.0)
    np.testing.assert_array_equal(drawn.V, 4.0)
    assert 5.0 / drawn.scale == pytest.approx(1.1 * 0.4)
    np.testing.assert_allclose(np.rad2deg(drawn.get_array()), -53.130102)
    assert_drawn(figure)


def test_opposite_directions_have_opposite_colours():
    right, left = (np.array(canvas.direction_colour(degrees)) for degrees in (0, 180))
    np.testing.assert_allclose(canvas.direction_colour(180), canvas.direction_colour(-180))
    assert np.abs(right - left).max() > 0.4
    assert canvas.direction_colour(0, paler=1) != canvas.direction_colour(0)


def test_a_map_leaves_out_what_has_no_value_and_states_units():
    y, x = GRID
    values = xr.DataArray(np.linspace(-1, 3, 20), dims="cell", attrs={"long_name": "rotation", "units": "degree"})
    values[3] = np.nan
    places = xr.Dataset({"y": ("cell", y, {"units": "pixel"}), "x": ("cell", x)})
    figure, axes = new()
    canvas.value_map(axes, places, values, signed=True)
    (drawn,) = axes.collections
    np.testing.assert_array_equal(drawn.get_array(), np.delete(values.values, 3))
    low, high = drawn.get_clim()
    assert low == -high
    assert 2.5 < high <= 3
    assert title(axes) == "rotation / °"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x / px", "y / px")
    assert [one.get_label() for one in axes.child_axes] == ["<colorbar>"]
    assert_drawn(figure)


def test_a_curve_has_gaps_and_a_band_as_wide_as_its_errors():
    figure, axes = new()
    canvas.curve(axes, np.arange(4), np.array([1.0, np.nan, 3.0, 4.0]), np.array([0.5, 0.5, 0.5, 0.25]))
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1, np.nan, 3, 4])
    low, high = (f(path.vertices[:, 1].tolist() for path in axes.collections[0].get_paths()) for f in (min, max))
    assert (min(low), max(high)) == (0.5, 4.25)
    assert_drawn(figure)


def test_vectors_are_drawn_downwards_about_the_origin_with_their_unit():
    figure, axes = new()
    u, v = np.random.default_rng(0).normal(3, 2, (2, 50))
    canvas.scatter_uv(axes, u, v, "pixel")
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), np.stack([u, v], axis=1))
    assert axes.yaxis_inverted()
    assert axes.get_xlabel() == "u / px (right)"
    assert axes.get_ylabel() == "v / px (down)"
    assert axes.get_xlim()[1] > 5
    assert_drawn(figure)


@pytest.mark.parametrize(("unit", "least"), [("pm", 1.0), ("pixel", 1e-3)])
def test_what_rounding_leaves_of_vectors_is_drawn_as_nothing(unit, least):
    _, axes = new()
    canvas.scatter_uv(axes, np.full(3, 1e-13), np.zeros(3), unit)
    assert axes.get_xlim()[1] == pytest.approx(1.08 * least)


def test_small_displacements_in_pixels_fill_their_axes():
    _, axes = new()
    canvas.scatter_uv(axes, np.full(3, 0.02), np.zeros(3), "pixel")
    assert axes.get_xlim()[1] == pytest.approx(0.0216)


#: What remains of linear RGB for those without one kind of cones (Machado et al. 2009, severity 1).
SEEN = {
    "by most": np.eye(3),
    "without red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "without green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "without blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


@pytest.mark.parametrize("eyes", SEEN)
def test_directions_that_differ_by_60_degrees_are_told_apart_by_all_eyes(eyes):
    degrees = np.arange(0, 360, 5)
    rgb = np.array([canvas.direction_colour(angle) for angle in degrees])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(SEEN[eyes]), 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))
    distance = np.linalg.norm(lab[:, None] - lab, axis=-1)
    apart = np.abs((degrees[:, None] - degrees + 180) % 360 - 180) >= 60
    assert distance[apart].min() > 15.0  # 2.3 is just noticed; of hues of one saturation it is 0.3


def test_the_wheel_closes_and_has_no_jump():
    colours = np.array([canvas.direction_colour(angle) for angle in np.arange(-180, 181, 2)])
    np.testing.assert_allclose(colours[0], colours[-1], atol=0.02)
    step = np.linalg.norm(np.diff(rgb2lab(colours), axis=0), axis=1)
    assert step.max() < 2 * step.mean()
    assert sum(canvas.direction_colour(30, 1)) > sum(canvas.direction_colour(30))


def test_the_wheel_is_labelled_and_shows_the_colours_of_arrows():
    _, axes = new()
    canvas.colour_wheel(axes, (0.5, 0.5, 0.2, 0.2))
    (ring,) = axes.child_axes
    assert [text.get_text() for text in ring.texts] == ["0°", "90°", "180°", "−90°"]
    shown = ring.collections[0]
    np.testing.assert_allclose(shown.cmap(shown.norm(np.deg2rad(40)))[:3], canvas.direction_colour(40), atol=0.03)


@pytest.mark.parametrize(("width", "text"), [(14.0, "2 nm"), (0.9, "0.2 nm"), (400.0, "100 nm")])
def test_a_scale_bar_is_as_long_as_it_says(width, text):
    _, axes = new()
    axes.set(xlim=(1.0, 1.0 + width), ylim=(width, 0))
    canvas.scale_bar(axes, "nm")
    assert axes.texts[0].get_text() == text
    assert axes.patches[-1].get_width() * width == pytest.approx(float(text.split()[0]))
