import numpy as np
import pytest

from stemdask.kernels.images.stacks.mosaic import Mosaic
from stemdask.simulate import perovskite


def test_windows_of_an_image_give_the_image_back():
    image = perovskite((96, 110), 14.0, noise=None)[0]
    places = [(20, 10), (23, 4), (16, 31), (2, 0)]
    windows = [image[y : y + 60, x : x + 70] for y, x in places]
    mosaic = Mosaic(windows[0])
    for window, (y, x) in zip(windows[1:], places[1:], strict=True):
        mosaic.add(window, (20.0 - y, 10.0 - x))
    assert mosaic.first == (2 - 20, 0 - 10)
    mean = mosaic.mean()
    assert mean.shape == (23 + 60 - 2, 31 + 70)
    seen = np.isfinite(mean)
    assert 0.7 < seen.mean() < 1.0
    np.testing.assert_allclose(mean[seen], image[2:83, :101][seen], rtol=1e-5)


def test_parts_of_a_pixel_count():
    still, moved = (perovskite((64, 64), 14.0, noise=None, margin=8.0, shift=(y, 0.0))[0] for y in (0.0, 5.4))
    mosaic = Mosaic(np.full_like(still, np.nan))
    mosaic.add(moved, (5.4, 0.0))
    mean = mosaic.mean()[5:]  # from the first row of the first image
    inner = np.isfinite(mean[:50]) & (np.indices((50, 64))[1] > 8)
    assert inner.sum() > 2000
    assert np.abs(mean[:50] - still[:50])[inner].max() < 0.002 * still.max()


def test_missing_pixels_are_taken_from_other_images():
    image = np.ones((8, 9), np.float32)
    holed = image.copy()
    holed[2:4, 3] = np.nan
    mosaic = Mosaic(holed)
    assert np.isnan(mosaic.mean()).sum() == 2
    mosaic.add(3.0 * image, (0.0, 0.0))
    assert mosaic.mean()[2, 3] == 3.0
    assert mosaic.mean()[0, 0] == 2.0


@pytest.mark.parametrize("shift", [(4000.0, 0.0), (40.0, -40.0)])
def test_an_image_that_is_far_away_is_left_out(shift):
    image = np.ones((8, 9), np.float32)
    mosaic = Mosaic(image)
    mosaic.add(image, shift)
    np.testing.assert_array_equal(mosaic.mean(), image)
