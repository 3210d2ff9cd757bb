"""A store that is rewritten with more room takes along nothing that isn't what was written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import toy

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.results import reader


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an overflow in the last but one of its four blocks."""
    folder = tmp_path_factory.mktemp("grow")
    toy.write_frames(folder / "f.npy", 14, {9: "many"})
    _run(folder, folder)
    return folder


def _run(made: Path, folder: Path, **how: str) -> dict[str, bytes]:
    outcome = execute(Document(toy.config(made / "f.npy", folder / "o.zarr", limits={"isolate": False})), **how)
    assert reader.verify(outcome.store).sound
    return toy.contents(outcome.store)


def _flip(store: Path) -> None:
    path = store / "columns/y/c/0/0"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def _swap(store: Path) -> None:
    one, other = store / "toy/mean/c/0", store / "toy/mean/c/1"
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


@pytest.mark.parametrize(
    "harm",
    [
        _flip,
        _swap,
        lambda store: (store / "toy/profile/c/3/0").unlink(),
        lambda store: (store / "blocks/checksum/c/1/0").write_bytes(b""),
    ],
    ids=["flipped", "swapped", "lost", "checksums"],
)
def test_what_is_damaged_is_found_again_as_a_store_grows(
    made: Path, tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    for name in ("sound", "harmed"):
        shutil.copytree(made, tmp_path / name)
    harm(tmp_path / "harmed" / "o.zarr")
    assert _run(made, tmp_path / "harmed", retry="overflow") == _run(made, tmp_path / "sound", retry="overflow")
