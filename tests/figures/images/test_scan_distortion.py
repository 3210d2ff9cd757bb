from __future__ import annotations

import numpy as np
import xarray as xr
from drawn import assert_drawn, legend, share_drawn, title

from stemdask.figures.images.scan_distortion import lines


def found(units="pm"):
    about = {"units": units}
    data = {}
    for name, dim, n in (("row", "y", 40), ("flyback", "x", 50)):
        for k, axis in enumerate("yx"):
            data[f"{name}_{axis}"] = (dim, (k + 1) * np.sin(np.arange(n)), about)
            data[f"{name}_{axis}_err"] = (dim, np.full(n, 0.5), about)
    return xr.Dataset(data)


def test_shifts_along_both_axes_are_drawn_line_by_line_with_their_errors():
    figure = lines(found())
    rows, flyback = figure.axes
    for axes, name in ((rows, "row"), (flyback, "flyback")):
        _, down, right = axes.lines
        np.testing.assert_array_equal(down.get_ydata(), found()[f"{name}_y"])
        np.testing.assert_array_equal(right.get_ydata(), found()[f"{name}_x"])
        top = max(path.vertices[:, 1].max() for band in axes.collections for path in band.get_paths())
        assert top == found()[f"{name}_x"].max() + 0.5
        assert axes.get_ylabel() == "shift / pm"
    assert legend(rows) == ["y (down)", "x"]
    assert (title(rows), rows.get_xlabel(), flyback.get_xlabel()) == ("Shift of each row", "row / px", "x / px")
    assert_drawn(figure)


def test_an_image_without_calibration_is_labelled_in_pixels():
    in_pm, in_pixels = (lines(found(units)).axes[0] for units in ("pm", "millipixel"))
    assert in_pixels.get_ylabel() == "shift / px"
    for shown, stored in zip(in_pixels.lines[1:], in_pm.lines[1:], strict=True):
        np.testing.assert_allclose(shown.get_ydata(), 1e-3 * stored.get_ydata())


def test_a_frame_without_columns_has_no_lines():
    nothing = found().map(lambda array: (array * np.nan).assign_attrs(array.attrs), keep_attrs=True)
    assert share_drawn(lines(nothing)) == 0
