import numpy as np

from stemdask.kernels.images.stacks.far_pixels import count_far_pixels
from stemdask.simulate import perovskite


def test_pixels_beyond_all_others_are_counted_quickly_and_columns_are_not():
    image, _ = perovskite((200, 260), 14.0, seed=0)
    assert count_far_pixels(image) == 0
    assert count_far_pixels(np.random.default_rng(0).poisson(0.05, (300, 300)).astype(float)) < 5
    assert count_far_pixels(np.random.default_rng(0).poisson(0.003, (300, 300)).astype(float)) == 0
    for y, x in [(0, 0), (50, 259), (120, 77)]:
        image[y, x] = 10 * image.max()
    assert count_far_pixels(image) == 3
    image[60, 60:62] = 10 * image.max()  # two beside each other are no single ones
    assert count_far_pixels(image) == 3
    assert count_far_pixels(np.full((9, 9), np.nan)) == 0
    assert count_far_pixels(np.zeros((9, 9))) == 0
