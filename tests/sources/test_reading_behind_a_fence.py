"""What is behind a fence reads its input itself, and starts no second process for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemdask.errors import InputError
from stemdask.fence import inside
from stemdask.sources import fenced
from stemdask.sources.images.source import ImageSource


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be behind a fence, as far as jobs are told."""

    def lent(*arguments: Any) -> None:
        raise AssertionError("a process was asked for")

    monkeypatch.setattr(inside, "is_here", lambda: True)
    monkeypatch.setattr(fenced, "lent", lent)


@pytest.mark.usefixtures("behind")
def test_an_image_is_read_there(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    np.save(tmp_path / "image.npy", pixels)
    source = fenced.open_source(tmp_path / "image.npy")
    assert isinstance(source, ImageSource)
    np.testing.assert_array_equal(fenced.read_image(source, 0).pixels, pixels)


@pytest.mark.usefixtures("behind")
def test_whatever_a_reader_raises_there_is_an_error_of_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def damaged(*arguments: Any, **options: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("stemdask.sources.opening.open_source", damaged)
    with pytest.raises(InputError, match="its reader failed with MemoryError: no room") as raised:
        fenced.open_source(tmp_path / "image.npy")
    assert raised.value.where == str(tmp_path / "image.npy")
