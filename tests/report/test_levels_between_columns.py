"""What a run says of the level between the columns, where it isn't what the model of the background takes it for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import stores

from stemdask import report, simulate

SHAPE = (256, 256)
CONTRADICTED = "yet was to be constant (background: constant)"
FOLLOWED = "varies from cell to cell"


def dirt() -> np.ndarray:
    y, x = np.indices(SHAPE)
    spots = [(y - top) ** 2 + (x - left) ** 2 for top, left in [(90, 70), (180, 200)]]
    return np.asarray(0.3 * sum(np.exp(-0.5 * away / 20.0**2) for away in spots))


@pytest.mark.parametrize(
    ("background", "level", "said"),
    [
        ("constant", np.zeros(SHAPE), ""),
        ("constant", np.indices(SHAPE)[1] / 1000.0, CONTRADICTED),
        ("spline", np.indices(SHAPE)[1] / 1000.0, ""),
        ("spline", dirt(), FOLLOWED),
    ],
)
def test_the_line_of_a_run_says_where_the_background_is_not_what_it_was_to_be(
    tmp_path: Path, background: str, level: np.ndarray, said: str
) -> None:
    clean, _ = simulate.perovskite(SHAPE, seed=2)
    np.save(tmp_path / "image.npy", (clean + level * np.ptp(clean)).astype(np.float32))
    stores.run(tmp_path / "image.npy", tmp_path / "image.zarr", {"columns": {"background": background}})
    (line,) = report.summary(tmp_path / "image.zarr")
    for words in (CONTRADICTED, FOLLOWED):
        assert (words in line) == (words == said)
