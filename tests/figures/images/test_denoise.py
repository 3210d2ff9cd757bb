from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, bars, share_drawn, texts, title

from stemdask.figures.images import denoise

GRID = np.random.default_rng(0).normal(size=(3, 6, 6))
METHODS = ["none", "pca", "robust_pca"]


def displacement(n=36, units="pm"):
    row, column = np.indices((6, 6)).reshape(2, -1)[:, :n]
    u, v = np.random.default_rng(0).normal(10, 3, (2, n))
    lengths, units = {"units": "nm"}, {"units": units}
    data = {"y": (0.4 * row, lengths), "x": (0.4 * column, lengths), "u": (u, units), "v": (v, units)}
    return xr.Dataset({name: ("cell", np.append(values, np.nan), about) for name, (values, about) in data.items()})


def components():
    dims = ("component", "cell_row", "cell_column")
    return xr.Dataset(
        {
            "explained_variance": ("component", np.array([9.0, 4, 1]), {"units": "pm^2"}),
            "held_out_error": ("n_components", np.array([3.0, 2, 1, 2]), {"units": "pm"}),
            "u": (dims, GRID),
            "v": (dims, -GRID),
        }
    )


def compared(units="pm"):
    about = {"units": units}
    lost = np.array([[0.0, 0, np.nan], [1, 2, np.nan], [3, 4, np.nan]])
    return xr.Dataset(
        {
            "estimated_error": ("method", np.array([3.0, 1, np.nan]), about),
            "step_lost": (("method", "step"), lost, about),
            "residual": (("method", "cell_row", "cell_column"), np.abs(GRID), about),
        }
    )


def test_what_was_removed_is_the_measured_less_the_denoised():
    measured = displacement()
    figure = denoise.denoising(measured, 0.5 * measured)
    arrows = [axes.collections[0] for axes in figure.axes]
    for drawn, part in zip(arrows, (1.0, 0.5, 0.5), strict=True):
        np.testing.assert_allclose(drawn.U, part * measured["u"][:36])
        np.testing.assert_allclose(drawn.V, part * measured["v"][:36])
        assert drawn.scale == arrows[0].scale
    rms = float(np.sqrt((measured["u"] ** 2 + measured["v"] ** 2).mean() / 2))
    assert title(figure.axes[0]) == f"as measured: RMS {rms:.1f} pm"
    assert title(figure.axes[2]) == f"removed: RMS {rms / 2:.3g} pm"
    assert [axes.get_xlabel() for axes in figure.axes] == ["x / nm"] * 3
    assert_drawn(figure)


def test_displacements_without_calibration_are_in_pixels():
    measured = displacement(units="millipixel")
    rms = 1e-3 * float(np.sqrt((measured["u"] ** 2 + measured["v"] ** 2).mean() / 2))
    assert title(denoise.denoising(measured, measured).axes[0]) == f"as measured: RMS {rms:.4f} px"


@pytest.mark.parametrize("n", [1, 0])
def test_maps_of_one_and_no_cells_are_drawn(n):
    measured = displacement(n)
    figure = denoise.denoising(measured, 0.5 * measured)
    assert len(figure.axes[0].collections) == n
    assert (share_drawn(figure) > 0) == bool(n)


def test_the_scree_shows_the_number_chosen():
    figure = denoise.scree(components(), 2)
    left, right = figure.axes
    _, kept, left_out = left.lines
    assert (list(kept.get_ydata()), list(left_out.get_ydata())) == ([9, 4], [1])
    assert left.get_ylabel() == "variance / pm²"
    assert list(right.lines[0].get_ydata()) == [3, 2, 1, 2]
    assert right.lines[1].get_xydata().tolist() == [[2, 1]]
    assert right.get_ylabel() == "RMS error / pm"
    assert texts(figure) == "2 chosen"
    assert_drawn(figure)


def test_components_are_maps_of_u_and_v_over_their_largest():
    figure = denoise.component_maps(components(), most=2)
    maps = [axes for axes in figure.axes if axes.images]
    assert [title(axes) for axes in maps] == ["component 1, u", "component 2, u", "component 1, v", "component 2, v"]
    np.testing.assert_allclose(maps[0].images[0].get_array(), -maps[2].images[0].get_array())
    assert_drawn(figure)


def test_methods_are_compared_by_error_and_by_what_they_take_away():
    figure = denoise.comparison(compared(), METHODS, "pca")
    left, right = figure.axes
    assert [bar.get_width() for bar in left.patches][1:] == [3, 1]
    assert [label.get_text() for label in left.get_yticklabels()] == ["robust pca", "none", "pca"]
    assert title(left) == "Nearest to the truth: pca"
    assert [list(line.get_xdata()) for line in right.lines[:2]] == [[3, 0, 1], [4, 0, 2]]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["every frame", "half of the frames"]
    assert left.get_xlabel() == "estimated RMS error / pm"
    assert bars(left)
    assert_drawn(figure)


def test_every_method_has_a_map_of_what_it_removes():
    figure = denoise.residuals(compared("millipixel"), METHODS)
    *maps, scale = figure.axes
    assert [title(axes) for axes in maps] == ["none", "pca", "robust pca"]
    for axes, expected in zip(maps, np.abs(GRID), strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), 1e-3 * expected)
    assert scale.get_ylabel() == "RMS of what is removed / px"
    assert_drawn(figure)


def test_what_holds_no_number_is_drawn_empty():
    figure = denoise.component_maps(components() * np.nan)
    assert share_drawn(figure) == 0
