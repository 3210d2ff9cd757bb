from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stemdask.kernels.images.domains import directions


def test_up_on_the_screen_is_ninety_degrees():
    np.testing.assert_allclose(
        directions.angle(np.array([0.0, 1.0, 0.0, -1.0]), np.array([-1.0, 0.0, 1.0, 0.0])), [90, 0, -90, 180]
    )


@given(st.floats(-180, 180))
def test_a_vector_has_the_direction_that_made_it(direction):
    u, v = directions.vector(direction)
    assert abs(directions.difference(directions.angle(u, v), direction)) < 1e-9


def test_there_is_no_seam_at_180_degrees():
    assert directions.difference(np.array(179.0), -179.0) == -2


def test_order_begins_below_the_x_axis():
    centres = directions.vector(np.array([180.0, -5.0, 90.0, -90.0]))
    np.testing.assert_array_equal(directions.order(centres), [1, 2, 0, 3])


def test_words_never_say_minus_180():
    assert directions.in_words(-1.0, 1e-9) == "180°"
    assert directions.in_words(0.0, 1.0) == "−90°"
