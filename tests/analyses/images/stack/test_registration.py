import warnings

import numpy as np
import pytest

from stemdask.analyses import chain
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.analyses.images.stack.registration import AREA_FIRST, AREA_IMAGE, FLAGS, RegistrationParams
from stemdask.errors import StemdaskError
from stemdask.model import ImageFrame, Step
from stemdask.simulate import stack

AREA = {"shape": (112, 128), "spacing": 14.0, "electrons_a": 300.0, "electrons_b": 75.0, "background": 0.2}
NM = 0.03


def meaning(flag):
    return [FLAGS[int(value)] for value in flag]


def test_shifts_are_the_drift_in_nm(analysed):
    frames, truth = stack(16, drift=0.8, **AREA)
    found = analysed(frames, ("registration", RegistrationParams()), pixel_size=(NM, 2 * NM)).results
    shift = np.stack([found["registration/shift_y"] / NM, found["registration/shift_x"] / (2 * NM)], axis=1)
    assert np.abs(shift - truth.shifts).max() < 0.2
    assert set(meaning(found["registration/flag"])) == {"registered"}
    assert (found["registration/quality"] > 0.8).all()


def test_the_average_of_the_aligned_frames_is_the_undrifted_area(analysed):
    frames, truth = stack(24, drift=0.7, **AREA)
    found = analysed(frames, ("registration", RegistrationParams())).results
    full = found["registration/coverage"] == 24
    assert full.sum() > 0.6 * full.size
    expected = truth.frame.expected
    difference = (found["registration/average"] - expected)[full]
    assert abs(difference.mean()) < 0.02 * expected.mean()
    noise = np.sqrt(expected[full] / 24)  # counted electrons; aligning filters it a little
    assert np.std(difference / noise) == pytest.approx(0.95, abs=0.15)
    ratio = found["registration/variance"][full].mean() / expected[full].mean()
    assert ratio == pytest.approx(0.85, abs=0.15)


def test_blank_repeated_and_unrelated_frames_are_flagged_and_left_out_of_the_average(analysed):
    frames, _ = stack(12, drift=0.5, **AREA)
    frames[3], frames[5] = 0.0, np.nan
    frames[7] = frames[6]
    frames[9] = np.random.default_rng(0).poisson(2.0, frames[0].shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = analysed(frames, ("registration", RegistrationParams())).results
    flags = meaning(found["registration/flag"])
    assert [flags[k] for k in (3, 5, 7, 9)] == [
        "blank",
        "blank",
        "duplicate of an earlier frame",
        "unrelated to the reference",
    ]
    assert flags.count("registered") == 8
    assert found["registration/coverage"].max() == 8
    assert np.isnan(found["registration/shift_y"][[3, 5]]).all()


def test_a_frame_of_another_size_is_unrelated(analysed):
    frames, _ = stack(6, drift=0.3, **AREA)
    found = analysed([*frames, frames[0][:64, :64]], ("registration", RegistrationParams())).results
    assert meaning(found["registration/flag"])[-1] == "unrelated to the reference"


@pytest.mark.parametrize("image", [np.full((40, 48), np.nan, np.float32), np.zeros((40, 48), np.float32)])
def test_a_stack_without_contrast_gives_nothing_and_no_warning(analysed, image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = analysed([image] * 3, ("registration", RegistrationParams())).results
    assert np.isnan(found["registration/shift_y"]).all()
    assert set(meaning(found["registration/flag"])) == {"blank"}
    assert np.isnan(found["registration/average"]).all()


def test_a_given_reference_has_shift_zero(analysed):
    frames, truth = stack(10, drift=0.6, **AREA)
    found = analysed(frames, ("registration", RegistrationParams(reference=4, average=False))).results
    assert found["registration/shift_y"][4] == pytest.approx(0, abs=1e-6)
    assert np.abs(found["registration/shift_x"] - (truth.shifts - truth.shifts[4])[:, 1]).max() < 0.25
    assert "registration/average" not in found


def test_a_reference_beyond_the_stack_is_refused_by_its_number(analysed):
    frames, _ = stack(3, **AREA)
    with pytest.raises(StemdaskError, match=r"registration\.reference.*got 7.*0 to 2"):
        analysed(frames, ("registration", RegistrationParams(reference=7)))


def test_the_same_stack_gives_the_same_bytes_for_any_block(analysed):
    frames, _ = stack(9, drift=0.6, **AREA)
    one, two = (analysed(frames, ("registration", RegistrationParams()), block=block).results for block in (2, 9))
    assert one.keys() == two.keys()
    assert all(one[path].tobytes() == two[path].tobytes() for path in one)


def test_a_drift_that_is_known_is_followed_again_only_for_columns_that_are_to_be_found():
    images, _ = stack(6, drift=0.5, **AREA)
    read = []

    class Frames(list):
        def __getitem__(self, k):
            read.append(k)
            return ImageFrame(k, images[k], (NM, NM), (0.0, 0.0))

    frames = Frames(range(len(images)))
    steps = [Step("registration", RegistrationParams(mode="series")), Step("columns", ColumnsParams())]
    whole = chain.prepare("images", steps, frames)
    stored = {path: values for path, values in whole.items() if path not in (AREA_IMAGE.path, AREA_FIRST.path)}
    read.clear()
    assert chain.prepare("images", steps, frames, stored).keys() == stored.keys()
    assert not read
    drift = {path: values for path, values in stored.items() if path.startswith("registration/")}
    again = chain.prepare("images", steps, frames, drift)
    assert again.keys() == whole.keys()
    for path, values in whole.items():
        np.testing.assert_array_equal(again[path], values)
