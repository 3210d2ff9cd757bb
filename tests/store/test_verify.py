from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import toy

import stemdask as sd
from stemdask.model import FrameStatus
from stemdask.results import reader


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("verify")
    frames = toy.write_frames(folder / "f.npy", 18)
    return frames, sd.run(toy.config(frames, folder / "out.zarr", limits={"isolate": False}))


@pytest.fixture
def store(made: tuple[Path, Path], tmp_path: Path) -> Path:
    store = made[1]
    shutil.copytree(store, tmp_path / "out.zarr")
    shutil.copytree(store.with_name("out.stemdask"), tmp_path / "out.stemdask")
    return tmp_path / "out.zarr"


def _chunks(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("c/**/*") if path.is_file())


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << (at % 8)
    path.write_bytes(data)


def test_a_sound_store_is_said_to_be(store: Path) -> None:
    found = reader.verify(store)
    assert found.sound
    assert found.chunks == len(_chunks(store))


def test_a_damaged_number_is_found_and_named(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 2)
    data = {"input": {"path": str(frames)}, "output": str(tmp_path / "o.zarr"), "cluster": {"kind": "inline"}}
    store = sd.run(data | {"analyses": {"preprocess": {}}, "limits": {"isolate": False}})
    assert reader.verify(store).sound
    _flip(store / "preprocess" / "inverted" / "c", 3)
    assert reader.verify(store).damaged == ("preprocess/inverted/c",)


@pytest.mark.long
def test_each_of_a_hundred_flipped_bytes_is_found_and_named(store: Path) -> None:
    choose = random.Random(7)
    for _ in range(100):
        path = choose.choice(_chunks(store))
        kept = path.read_bytes()
        _flip(path, choose.randrange(len(kept)))
        assert reader.verify(store).damaged == (str(path.relative_to(store)),)
        path.write_bytes(kept)


@pytest.mark.parametrize("what", ["missing", "empty", "metadata"])
def test_a_chunk_or_metadata_that_is_gone_is_found(store: Path, what: str) -> None:
    path = store / "toy/mean" / ("zarr.json" if what == "metadata" else "c/2")
    path.unlink() if what != "empty" else path.write_bytes(b"")
    found = reader.verify(store)
    assert found.damaged == (str(path.relative_to(store)),)
    assert "damaged" in found.text()


@pytest.mark.parametrize("name", ["columns/y/c/2/0", "frames/frame_status/c/1", "toy/reference/c/0", "toy/rank/c/0"])
def test_a_repaired_store_is_done_again_to_the_same_bytes(made: tuple[Path, Path], store: Path, name: str) -> None:
    frames, _ = made
    before = toy.contents(store)
    _flip(store / name, 3)
    assert reader.verify(store, repair=True).damaged == (name,)
    sd.run(toy.config(frames, store, limits={"isolate": False}))
    assert toy.contents(store) == before
    assert reader.verify(store).sound


def test_a_pending_block_is_not_damage(store: Path) -> None:
    (store / "frames/frame_status/c/1").unlink()
    (store / "toy/mean/c/1").unlink()
    assert reader.status(store).counts[FrameStatus.PENDING] == 4
    assert reader.verify(store).sound


def test_a_store_that_was_killed_before_it_remembered_its_metadata_is_read_all_the_same(store: Path) -> None:
    whole = reader.verify(store)
    root = json.loads((store / "zarr.json").read_text())
    del root["consolidated_metadata"]
    (store / "zarr.json").write_text(json.dumps(root))
    assert reader.verify(store) == whole
