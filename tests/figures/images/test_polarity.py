from __future__ import annotations

import numpy as np
from drawn import assert_drawn, title

from stemdask import simulate
from stemdask.figures.images.polarity import both_contrasts
from stemdask.kernels.images.finding.columns import find_columns


def test_both_contrasts_are_drawn_each_with_its_columns_and_the_key_that_chooses_it():
    image, _ = simulate.perovskite((120, 130), 13.0, seed=1)
    figure = both_contrasts(image)
    assert [title(axes)[-5:] for axes in figure.axes] == ["false", " true"]
    bright, dark = (axes.collections[0].get_offsets() for axes in figure.axes)
    np.testing.assert_allclose(bright, find_columns(image).positions[:, ::-1])
    np.testing.assert_allclose(dark, find_columns(-image).positions[:, ::-1])
    assert_drawn(figure)


def test_without_a_lattice_the_image_alone_is_drawn_and_of_a_large_one_the_middle():
    noise = np.random.default_rng(0).normal(size=(300, 64))
    figure = both_contrasts(noise)
    assert [len(axes.collections) for axes in figure.axes] == [0, 0]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), noise[22:278])
