"""Steps over the ends of lines."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.text.lines import skip_lines


@pytest.mark.parametrize(
    ("text", "position", "n_lines", "expected"),
    [
        (b"a\nbc\nd", 0, 2, (5, 0)),
        (b"a\nbc\nd", 0, 3, (5, 1)),
        (b"a\nbc\nd", 2, 1, (5, 0)),
        (b"a\nbc\nd", 3, 0, (3, 0)),
        (b"\n\n\n", 0, 2, (2, 0)),
        (b"no end", 0, 1, (0, 1)),
        (b"", 0, 1, (0, 1)),
    ],
)
def test_it_stops_behind_the_last_line_wanted(
    text: bytes, position: int, n_lines: int, expected: tuple[int, int]
) -> None:
    assert skip_lines(np.frombuffer(text, np.uint8), position, n_lines) == expected
