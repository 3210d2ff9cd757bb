from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from stemdask.adapters import hyperspy
from stemdask.model import ImageFrame
from stemdask.sources.opening import open_source

PIXELS = np.arange(20.0, dtype=np.float32).reshape(4, 5)


def test_a_frame_becomes_a_calibrated_signal_with_its_columns_as_markers() -> None:
    frame = ImageFrame(0, PIXELS, (0.02, 0.03), (1.0, 2.0))
    columns = xr.Dataset(
        {
            "y": ("column", [1.0, 1.02, np.nan]),
            "x": ("column", [2.0, 2.03, np.nan]),
            "sublattice": ("column", [0, 1, -1]),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hyperspy's own import
        signal = hyperspy.signal(frame, columns)
    x, y = signal.axes_manager.signal_axes
    assert (x.scale, x.offset, x.units) == (pytest.approx(0.03), pytest.approx(2.0), "nm")
    assert (y.scale, y.offset) == (pytest.approx(0.02), pytest.approx(1.0))
    np.testing.assert_array_equal(signal.data, frame.pixels)
    assert len(signal.metadata.Markers) == 2


def test_a_frame_without_a_pixel_size_has_axes_in_pixels() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = hyperspy.signal(ImageFrame(0, PIXELS, (1.0, 1.0), calibrated=False))
    assert [(axis.scale, axis.units) for axis in signal.axes_manager.signal_axes] == [(1.0, "pixel")] * 2


@pytest.mark.golden
def test_a_real_image_comes_back_as_hyperspy_itself_reads_it(reference: Path) -> None:
    path = reference / "data" / "BTO_crystal_1.dm4"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import hyperspy.api as hs

        signal = hyperspy.signal(open_source(path).read(0))
        own = hs.load(path)
    np.testing.assert_allclose(signal.data, np.asarray(own.data, np.float32))
    for axis, theirs in zip(signal.axes_manager.signal_axes, own.axes_manager.signal_axes, strict=True):
        assert axis.scale == pytest.approx(theirs.scale)
