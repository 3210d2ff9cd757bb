"""What a detector may write instead of counts: the columns are where they are, whatever their brightness is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import stemdask as sd
from stemdask import simulate
from stemdask.errors import InputError
from stemdask.sources.opening import open_source

pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Frames of which the brightest pixel is 1."""
    frames = np.array([simulate.perovskite((110, 110), seed=seed)[0] for seed in range(2)])
    return (frames / frames.max()).astype(np.float64)


def _columns(pixels: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "f.npy", pixels)
    data = {
        "input": {"path": str(folder / "f.npy"), "pixel_size": "0.03 nm", "invert": False},
        "output": str(folder / "o.zarr"),
        "analyses": {"columns": {}},
        "cluster": {"kind": "inline"},
        "limits": {"isolate": False},
    }
    found = sd.open_results(sd.run(data))["columns"]
    return np.stack([found["y"].values, found["x"].values])


def test_columns_are_found_at_the_same_places_whatever_their_scale(counts: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain = _columns(counts.astype(np.float32), tmp_path / "plain")
    assert np.isfinite(plain).sum() > 100
    # Rounding to bytes is noise; what is below zero has another noise, and pixels another weight.
    for name, pixels, nm in (
        ("large", (counts * 1e18).astype(np.float32), 1e-4),
        ("small", (counts * 1e-15).astype(np.float32), 1e-4),
        ("negative", counts - 10.0, 1e-3),
        ("bytes", np.round(counts * 255).astype(np.uint8), 1e-2),
    ):
        (tmp_path / name).mkdir()
        found = _columns(pixels, tmp_path / name)
        assert found.shape[1:] == plain.shape[1:], name
        np.testing.assert_allclose(found, plain, atol=nm, err_msg=name)


@pytest.mark.parametrize("scale", [3e38, 1e-37, 1e200, -3e38])
def test_pixels_whose_squares_no_number_holds_are_refused_in_words(
    counts: np.ndarray, tmp_path: Path, scale: float
) -> None:
    np.save(tmp_path / "f.npy", (counts * scale).astype(np.float64 if scale == 1e200 else np.float32))
    with pytest.raises(InputError, match=r"frame 0 reach from .* to .*Multiply the images by a constant"):
        open_source(tmp_path / "f.npy").read(0)


def test_a_frame_of_one_value_or_none_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.stack([np.ones((16, 16)), np.zeros((16, 16)), np.full((16, 16), np.nan)]))
    source = open_source(tmp_path / "f.npy")
    assert [float(np.nanmax(source.read(k).pixels)) for k in (0, 1)] == [1.0, 0.0]
    assert np.isnan(source.read(2).pixels).all()
