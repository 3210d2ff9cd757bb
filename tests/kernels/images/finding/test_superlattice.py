from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.finding.superlattice import find_superlattice


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (lambda i, j: 0 * i, ((1, 0), (0, 1))),
        (lambda i, j: i % 2, ((2, 0), (0, 1))),
        (lambda i, j: j % 2, ((1, 0), (0, 2))),
        (lambda i, j: (i + j) % 2, ((1, 1), (-1, 1))),
        (lambda i, j: (i % 2) * (j % 2), ((2, 0), (0, 2))),
    ],
)
def test_alternating_heights_double_the_cell(pattern: object, expected: object) -> None:
    i, j = np.mgrid[:20, :20]
    rng = np.random.default_rng(0)
    heights = (1 + 0.15 * pattern(i, j)) * (1 + 0.02 * i) * rng.normal(1, 0.05, i.shape)  # type: ignore[operator]
    heights[rng.random(i.shape) < 0.05] = np.nan
    assert find_superlattice(heights) == expected
