import numpy as np
import pytest

from stemdask.kernels.images.stacks.shift_image import shift_image
from stemdask.simulate import perovskite

CRYSTAL = {"shape": (128, 144), "spacing": 14.0, "rotation": 7.0, "background": 0.2, "noise": None}


@pytest.mark.parametrize("shift", [(0.5, -0.25), (2.3, 4.75), (-3.0, 7.1)])
def test_a_moved_image_is_the_image_that_was_drawn_there(shift):
    image, _ = perovskite(**CRYSTAL)
    moved = shift_image(image, shift)
    drawn, _ = perovskite(**CRYSTAL, shift=shift)
    inside = (slice(16, -16), slice(16, -16))
    assert np.abs(moved[inside] - drawn[inside]).max() < 1e-3 * image.max()


def test_what_comes_from_beyond_the_border_is_missing():
    moved = shift_image(np.ones((6, 8)), (1.5, -2.0))
    assert np.isnan(moved[:2]).all()
    assert np.isnan(moved[:, -2:]).all()
    assert np.allclose(moved[2:, :-2], 1.0)
    assert np.isnan(shift_image(np.ones((6, 8)), (0.0, 9.0))).all()
