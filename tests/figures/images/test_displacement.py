from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, bars, legend, share_drawn, title

from stemdask.figures.images import displacement as displacement_figures
from stemdask.figures.images.displacement import distribution, gradients, maps, parts, quiver
from stemdask.model import ImageFrame


def cells(n=36, units="pm", lengths="nm"):
    """Return n displaced cells and one that is missing."""
    row, column = np.indices((6, 6)).reshape(2, -1)[:, :n]
    u, v = np.random.default_rng(0).normal(10, 3, (2, n))
    data = {"y": 0.4 * row, "x": 0.4 * column, "u": u, "v": v, "u_err": 0 * u + 2, "v_err": 0 * v + 2}
    return xr.Dataset(
        {
            name: ("cell", np.append(values, np.nan), {"units": lengths if name in "yx" else units})
            for name, values in data.items()
        }
    )


def test_every_cell_has_an_arrow_where_it_is_and_a_missing_one_has_none():
    found = cells()
    figure = quiver(found)
    arrows = figure.axes[0].collections[0]
    np.testing.assert_array_equal(arrows.U, found["u"][:36])
    np.testing.assert_array_equal(arrows.V, found["v"][:36])
    np.testing.assert_array_equal(arrows.XY, np.stack([found["x"][:36], found["y"][:36]], axis=1))
    assert_drawn(figure)


def test_axes_key_and_title_carry_the_units_of_a_calibrated_image():
    (axes,) = quiver(cells()).axes
    median = float(np.median(np.hypot(cells()["u"][:36], cells()["v"][:36])))
    assert title(axes) == f"Displacement, median {median:.1f} pm"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x / nm", "y / nm")
    assert [artist.text.get_text() for artist in axes.artists] == ["20 pm"]


def test_an_image_without_calibration_is_labelled_in_pixels():
    (axes,) = quiver(cells(units="millipixel", lengths="pixel")).axes
    median = 1e-3 * float(np.median(np.hypot(cells()["u"][:36], cells()["v"][:36])))
    assert title(axes) == f"Displacement, median {median:.4f} px"
    assert axes.get_xlabel() == "x / px"


def test_the_image_lies_below_the_arrows_in_the_same_coordinates():
    frame = ImageFrame(0, np.random.default_rng(0).random((30, 30)), (0.1, 0.1))
    (axes,) = quiver(cells(), frame).axes
    np.testing.assert_array_equal(axes.images[0].get_array(), frame.pixels)
    assert axes.get_xlim() == pytest.approx((-0.05, 2.95))
    assert axes.get_ylim() == pytest.approx((2.95, -0.05))


def test_a_frame_without_cells_says_so():
    figure = quiver(cells(0))
    assert title(figure.axes[0]) == "Displacement: no cell found"
    assert share_drawn(figure) == 0
    assert share_drawn(distribution(cells(0))) == 0


def test_all_vectors_are_counted_beside_what_their_errors_would_give():
    found = cells()
    figure = distribution(found)
    left, right = figure.axes
    np.testing.assert_array_equal(left.collections[0].get_offsets(), np.stack([found["u"], found["v"]], axis=1)[:36])
    assert title(left) == "36 vectors"
    assert sum(bars(right)[0]) == 36
    assert legend(right) == ["found", "noise alone, σ = 2.0 pm"]
    r, density = right.lines[0].get_data()
    assert r[np.argmax(density)] == pytest.approx(2, abs=0.1)  # a Rayleigh distribution is highest at its width
    assert right.get_xlabel() == "magnitude / pm"
    assert_drawn(figure)


@pytest.mark.parametrize("error", [0.02, 3.0])
def test_what_errors_would_give_is_seen_whole_beside_the_bars(error):
    found = cells()
    found["u_err"][:] = found["v_err"][:] = error
    right = distribution(found).axes[1]
    high, tallest = float(np.max(right.lines[0].get_ydata())), max(bars(right)[0])
    assert max(high, tallest) < right.get_ylim()[1] < 6 * tallest
    assert ("not to scale" in legend(right)[1]) == (error == 0.02)


def test_nothing_is_compared_where_no_error_is_known():
    found = cells()
    found["u_err"][:] = found["v_err"][:] = np.nan
    assert not distribution(found).axes[1].lines


@pytest.mark.parametrize(
    ("said", "sentence"), [({"warning": "all columns are alike"}, "All columns are alike."), ({}, "No cell")]
)
def test_where_nothing_is_displaced_a_sentence_stands_alone(said, sentence):
    results = SimpleNamespace(at=lambda group, frame: cells(0), attributes=lambda group: said)
    (part,) = parts(results, 0)
    assert part.sentences[0].startswith(sentence)
    assert len(part.sentences) == 1
    assert not part.rows
    assert not part.pictures


def test_divergence_and_curl_are_those_of_the_field_however_the_cells_lie():
    rng = np.random.default_rng(4)
    y, x = rng.permutation(np.argwhere(rng.random((20, 20)) > 0.1)).T * 0.4
    u, v = 3.0 * x + 5.0 * y, -2.0 * x + 4.0 * y  # pm per nm: 10⁻³
    divergence, curl, error = gradients(y, x, u, v, 0.0)
    known = np.isfinite(divergence)
    assert known.mean() > 0.9
    np.testing.assert_allclose(divergence[known], 7.0)
    np.testing.assert_allclose(curl[known], 5.0 + 2.0)  # counter-clockwise as displayed, y down
    assert error == 0.0


def test_noise_of_divergence_and_curl_is_as_stated():
    row, column = np.indices((80, 80)).reshape(2, -1) * 0.4
    u, v = np.random.default_rng(5).normal(0, 2.0, (2, 6400))
    divergence, curl, error = gradients(row, column, u, v, 2.0)
    for values in (divergence, curl):
        assert 1.4826 * np.median(np.abs(values)) == pytest.approx(error, rel=0.1)


def test_cells_on_a_line_or_alone_have_no_divergence():
    for n in (0, 1, 3, 9):
        divergence, curl, error = gradients(np.zeros(n), np.arange(n) * 1.0, np.ones(n), np.ones(n), 1.0)
        assert np.isnan(divergence).all()
        assert np.isnan(curl).all()
        assert np.isnan(error)


def test_maps_show_magnitude_direction_divergence_and_curl():
    figure = maps(cells())
    magnitude, direction, divergence, curl = figure.axes[:4]
    found = cells().isel(cell=slice(36))
    np.testing.assert_allclose(magnitude.collections[0].get_array(), np.hypot(found["u"], found["v"]))
    np.testing.assert_allclose(direction.collections[0].get_array(), np.arctan2(-found["v"], found["u"]))
    assert title(magnitude) == "magnitude / pm"
    # Most of 36 cells lie at an edge, where six are seen: 2 pm · √(1/0.24 + 1/0.64) per nm.
    assert title(divergence) == "divergence / 10⁻³ (noise alone: ± 4.8)"
    assert divergence.collections[0].get_clim() == curl.collections[0].get_clim()
    assert_drawn(figure)


def test_the_mean_is_stated_with_what_limits_it() -> None:
    u = xr.DataArray([5.2, 6.0, 5.6], dims="cell", attrs={"units": "pm"})
    found = xr.Dataset({"u": u, "v": u + 30.0, "u_sys": 2.9, "v_sys": 0.61}, attrs={})
    found["v"].attrs["units"] = "pm"
    said, _ = displacement_figures._mean(found)
    assert "5.6 ± 2.9 pm along x" in said
    assert "35.60 ± 0.61 pm along y" in said
    assert "zero" not in said
    unsure, _ = displacement_figures._mean(found.assign(v_sys=20.0))
    assert "not distinguishable from zero" in unsure
    assert displacement_figures._mean(found.assign(v_sys=np.nan)) == []


def test_the_mean_of_two_domains_is_not_their_median() -> None:
    found = cells().assign(u_sys=0.5, v_sys=0.5)
    found["u"][:] = np.where(np.arange(37) < 24, 20.0, -10.0)
    found["u"][36] = np.nan
    said, _ = displacement_figures._mean(found)
    assert said.startswith("mean 10.00 ± 0.50 pm along x")
