import numpy as np
import pytest
from pydantic import ValidationError

from stemdask.analyses.images.stack.preprocess import PreprocessParams, outputs, run
from stemdask.errors import FrameError
from stemdask.model import ImageFrame
from stemdask.simulate import perovskite

PIXELS, TRUTH = perovskite((96, 120), 14.0, seed=1)


def prepared(pixels=PIXELS, **params):
    return run(ImageFrame(0, np.array(pixels), (0.03, 0.03)), PreprocessParams(**params))


def test_the_defaults_change_nothing():
    found = prepared()
    assert np.array_equal(found["preprocess/measured"], PIXELS)
    assert np.array_equal(found["preprocess/for_finding"], PIXELS)
    assert np.array_equal(found["preprocess/grid_matrix"], np.eye(2))
    assert set(found) == {v.path for v in outputs(PreprocessParams()) if v.stage == "run"}


def test_a_crop_is_meant_in_px_or_nm():
    one = prepared(crop=("10 px", "20 px", "60 px", "100 px"))
    two = prepared(crop=("0.3 nm", "6 angstrom", "1.8 nm", "3000 pm"))
    assert np.array_equal(one["preprocess/measured"], PIXELS[10:60, 20:100])
    assert np.array_equal(one["preprocess/measured"], two["preprocess/measured"])
    assert np.array_equal(one["preprocess/grid_origin"], (10, 20))


def test_a_crop_that_leaves_nothing_is_a_sentence():
    with pytest.raises(FrameError, match=r"preprocess\.crop: the crop leaves nothing"):
        prepared(crop=(50, 0, 40, 100))
    with pytest.raises(ValidationError, match="edges can't be negative"):
        PreprocessParams(crop=(-1, 0, 40, 100))


def test_crop_turn_and_upsampling_keep_the_place_of_every_pixel():
    ramp = np.add.outer(1000.0 * np.arange(96), np.arange(120.0))  # the value says where a pixel lies
    found = prepared(ramp, crop=(16, 8, 80, 112), rotate={"angle": 33.0, "pixels": True}, upsample=2)
    y, x = np.nonzero(np.isfinite(found["preprocess/measured"]))
    source = np.column_stack([y, x]) @ found["preprocess/grid_matrix"].T + found["preprocess/grid_origin"]
    inside = ((source > (26, 18)) & (source < (69, 101))).all(axis=1)  # a spline bends a ramp at its ends
    assert np.allclose(found["preprocess/measured"][y, x][inside], (source @ (1000.0, 1.0))[inside], atol=0.5)
    assert source.min(axis=0) == pytest.approx((16, 8), abs=1.0)
    assert source.max(axis=0) == pytest.approx((79, 111), abs=1.0)


def test_positions_are_measured_on_the_counts_unless_said_otherwise():
    raw = prepared(smooth="1.5 px", flatten="1 nm")
    assert np.array_equal(raw["preprocess/measured"], PIXELS)
    assert raw["preprocess/for_finding"].std() < PIXELS.std()
    filtered = prepared(smooth="1.5 px", flatten="1 nm", measure_on="filtered")
    assert np.array_equal(filtered["preprocess/measured"], raw["preprocess/for_finding"])


def test_hot_pixels_become_missing_and_are_counted():
    pixels = PIXELS.copy()
    pixels[[20, 50, 71], [30, 60, 17]] = 1e5
    found = prepared(pixels, hot_pixels=6)
    assert found["preprocess/n_hot_pixels"] == 3
    assert np.isnan(found["preprocess/measured"][[20, 50, 71], [30, 60, 17]]).all()
    assert found["preprocess/valid_fraction"] == pytest.approx(1 - 3 / pixels.size)


def test_the_detector_turns_counts_into_fractions_of_the_beam():
    found = prepared(detector=(100.0, 2100.0))
    assert np.allclose(found["preprocess/measured"], (PIXELS - 100) / 2000)
    with pytest.raises(ValidationError, match="full beam must count more"):
        PreprocessParams(detector=(5.0, 5.0))


def test_dark_columns_become_bright_ones():
    dark = PIXELS.max() - PIXELS
    assert np.allclose(prepared(dark, invert=True)["preprocess/measured"], PIXELS - PIXELS.min())


def test_what_measuring_on_filtered_pixels_costs_is_said_in_the_store(analysed):
    params = PreprocessParams(smooth="1 px", measure_on="filtered")
    assert "shrink" in analysed([PIXELS], ("preprocess", params)).attributes["preprocess"]["comment"]
    assert analysed([PIXELS], ("preprocess", PreprocessParams(smooth="1 px"))).attributes == {}
