from __future__ import annotations

import numpy as np
import xarray as xr
from drawn import assert_drawn, legend, title

from stemdask.figures.images.registration import average, doubts, drift
from stemdask.model import ImageFrame
from stemdask.results.views import Results


def registered(flags, units="nm"):
    n = len(flags)
    about = {"units": units}
    data = {"shift_y": np.arange(n) - 1.0, "shift_x": 2.0 * np.arange(n), "quality": np.linspace(0.8, 1, n)}
    data |= {"shift_y_err": np.full(n, 0.5), "shift_x_err": np.full(n, 0.25)}
    found = xr.Dataset({name: ("frame", values, about) for name, values in data.items()})
    return found.assign(flag=("frame", np.array(flags)))


def test_the_drift_is_drawn_with_its_errors_and_its_unit():
    figure = drift(registered([0, 0, 0, 0]))
    above, below = figure.axes
    np.testing.assert_array_equal(above.lines[0].get_ydata(), [0, 2, 4, 6])
    np.testing.assert_array_equal(above.lines[1].get_ydata(), [-1, 0, 1, 2])
    widths = [np.ptp(band.get_paths()[0].vertices[:, 1]) for band in above.collections]
    np.testing.assert_allclose(widths, [6.5, 4.0])  # the way and one error at each end
    assert legend(above) == ["x", "y (down)"]
    assert above.get_ylabel() == "drift / nm"
    assert below.get_xlabel() == "frame"
    np.testing.assert_array_equal(below.lines[0].get_ydata(), np.linspace(0.8, 1, 4))
    assert_drawn(figure)


def test_frames_that_were_not_used_are_gaps_and_crosses():
    above, below = drift(registered([0, 2, 0, 0])).axes
    np.testing.assert_array_equal(above.lines[0].get_ydata(), [0, np.nan, 4, 6])
    assert list(below.lines[1].get_xdata()) == [1]
    assert legend(below) == ["not used"]


def test_drift_without_calibration_is_in_pixels():
    assert drift(registered([0, 0], "pixel")).axes[0].get_ylabel() == "drift / px"


def averaged(pixels):
    data = {"average": pixels, "variance": pixels**2, "coverage": np.full(pixels.shape, 4)}
    return xr.Dataset({name: (("y", "x"), values) for name, values in data.items()})


def test_the_average_stands_beside_the_deviation_of_its_frames():
    pixels = np.random.default_rng(0).random((8, 9))
    figure = average(averaged(pixels))
    mean, deviation, *_ = figure.axes
    np.testing.assert_array_equal(mean.images[0].get_array(), pixels)
    np.testing.assert_allclose(deviation.images[0].get_array(), pixels)
    assert [title(axes) for axes in (mean, deviation)] == ["average of 4 frames", "standard deviation of 4 frames"]
    assert (mean.get_xlabel(), mean.get_ylabel()) == ("x / px", "y / px")
    assert_drawn(figure)


def test_the_average_has_the_lengths_of_its_image():
    pixels = np.random.default_rng(0).random((8, 9))
    left, *_ = average(averaged(pixels), ImageFrame(0, pixels, (0.02, 0.02), (1.0, 2.0))).axes
    assert left.get_xlabel() == "x / nm"
    np.testing.assert_allclose(left.get_xlim(), (1.99, 2.17))
    left, *_ = average(averaged(pixels), ImageFrame(0, pixels, (1.0, 1.0), calibrated=False)).axes
    assert left.get_xlabel() == "x / px"


def test_an_average_of_nothing_is_drawn():
    nothing = {name: (("y", "x"), np.full((4, 4), np.nan)) for name in ("average", "variance")}
    figure = average(xr.Dataset(nothing | {"coverage": (("y", "x"), np.zeros((4, 4), int))}))
    assert title(figure.axes[0]) == "average of 0 frames"


def test_nothing_is_doubted_before_all_frames_are_done():
    unfinished = xr.DataTree.from_dict({"registration": registered([0, 2]).drop_vars("flag")})
    assert doubts(Results(unfinished)) == []
