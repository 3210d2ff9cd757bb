from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import toy

import stemdask as sd
from stemdask.errors import Busy, StoreError
from stemdask.model import FrameStatus
from stemdask.results import reader
from stemdask.store import layout, lock


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


def _metadata(store: Path) -> list[Path]:
    return sorted(store.rglob("zarr.json"))


def _files(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("*") if path.is_file())


def _swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


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


@pytest.mark.parametrize(
    "n_flips", [pytest.param(8, marks=pytest.mark.long), pytest.param(100, marks=pytest.mark.slow)]
)
def test_flipped_bits_of_any_file_are_found_named_and_repaired(
    made: tuple[Path, Path], store: Path, n_flips: int, record_property: Callable[[str, object], None]
) -> None:
    frames, _ = made
    before = toy.contents(store)
    choose = random.Random(7)
    for _ in range(n_flips):
        path = choose.choice(_files(store) if choose.random() < 0.5 else _metadata(store))
        _flip(path, choose.randrange(path.stat().st_size))
        assert reader.verify(store).damaged == (str(path.relative_to(store)),)
        assert reader.verify(store, repair=True).damaged == (str(path.relative_to(store)),)
        sd.run(toy.config(frames, store, limits={"isolate": False}))
        assert reader.verify(store).sound
        assert toy.contents(store) == before
    record_property("figure", f"{n_flips} of {n_flips} found, named and repaired to the same bytes")


def test_a_coordinate_that_was_damaged_is_written_again(made: tuple[Path, Path], store: Path) -> None:
    before = toy.contents(store)
    for harm in (lambda: _flip(store / "frame/c/1", 9), lambda: _swap(store / "frame/c/0", store / "frame/c/2")):
        harm()
        assert "frame/c/1" in reader.verify(store, repair=True).damaged
        sd.run(toy.config(made[0], store, limits={"isolate": False}))
        assert reader.verify(store).sound
        assert toy.contents(store) == before


def test_damage_of_the_checksums_themselves_is_found_and_repaired(made: tuple[Path, Path], store: Path) -> None:
    for name, harm in (("zarr.json", b"dimension_names"), ("c/1/0", None)):
        path = store / "blocks/checksum" / name
        path.write_bytes(path.read_bytes().replace(harm, b"dimenqion_names") if harm else b"")
        assert reader.verify(store).damaged == (f"blocks/checksum/{name}",)
        assert reader.verify(store, repair=True).damaged == (f"blocks/checksum/{name}",)
        sd.run(toy.config(made[0], store, limits={"isolate": False}))
        assert reader.verify(store).sound


def test_swapped_chunks_are_found_though_each_is_sound(store: Path) -> None:
    choose = random.Random(5)
    for _ in range(25):
        one, other = choose.sample(
            _chunks(store / choose.choice(["toy/mean", "columns/y", "frames/file", "toy/rank"])), 2
        )
        if one.read_bytes() != other.read_bytes():
            _swap(one, other)
            found = set(reader.verify(store).damaged)
            assert {str(path.relative_to(store)) for path in (one, other)} <= found
            _swap(one, other)
    _swap(store / "toy/mean/c/1", store / "toy/mean_err/c/1")
    assert not reader.verify(store).sound


def test_blocks_that_were_swapped_whole_are_found(store: Path) -> None:
    """Even with their statuses and checksums: a checksum knows where it belongs."""
    for path in _chunks(store):
        if path.parts[-1] == "1" or path.parts[-2:] == ("1", "0"):
            other = Path(str(path).replace("/c/1", "/c/2"))
            if other.exists():
                _swap(path, other)
    assert reader.verify(store).blocks == (1, 2)


@pytest.mark.long
@pytest.mark.parametrize("half", ["image", "atoms"])
def test_verify_reads_the_store_of_every_analysis_and_finds_a_flip_in_each_array(
    half: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = request.getfixturevalue(f"every_{half}_analysis")
    store = tmp_path / "every.zarr"
    shutil.copytree(made, store)
    assert reader.verify(store).sound
    arrays = [path.parent for path in _metadata(store) if json.loads(path.read_text())["node_type"] == "array"]
    flipped = [min(_chunks(array)) for array in arrays if array.name != "frame_status" and _chunks(array)]
    for path in flipped:
        _flip(path, path.stat().st_size // 2)
    assert len(flipped) > 60
    assert {str(path.relative_to(store)) for path in flipped} <= set(reader.verify(store).damaged)


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


@pytest.mark.parametrize("harm", ["flipped", "halved", "emptied", "gone", "key", "seal"])
def test_a_damaged_root_is_made_again_from_its_copy(made: tuple[Path, Path], store: Path, harm: str) -> None:
    root = store / "zarr.json"
    text = root.read_bytes()
    harmed = {
        "flipped": text.replace(b"fingerprint", b"gingerprint"),
        "halved": text[: len(text) // 2],
        "emptied": b"",
        "key": text.replace(b"metadata_sha256", b"metadata_sha257"),
        "seal": re.sub(rb'(metadata_sha256": ")(.)', lambda m: m[1] + (b"0" if m[2] != b"0" else b"1"), text),
    }
    root.unlink() if harm == "gone" else root.write_bytes(harmed[harm])
    with pytest.raises(StoreError, match=r"metadata are damaged: zarr.json\. Run 'stemdask verify .* --repair'"):
        reader.status(store)
    assert reader.verify(store).damaged == ("zarr.json",)
    assert reader.verify(store, repair=True).damaged == ("zarr.json",)
    assert root.read_bytes() == text
    assert reader.verify(store).sound
    root.write_bytes(text[:50])
    sd.run(toy.config(made[0], store, limits={"isolate": False}))
    assert root.read_bytes() == text, "a run mends what it can"


def test_a_group_ahead_of_its_root_is_damage_only_where_no_driver_writes(store: Path) -> None:
    group = store / "toy/zarr.json"
    known = json.loads(group.read_bytes())
    group.write_text(json.dumps({**known, "attributes": {**known["attributes"], "of": "the next second"}}))
    with lock.driving(layout.run_directory(store)):
        assert reader.status(store).state == "complete"
        assert "toy" in reader.open_results(store)
    with pytest.raises(StoreError, match=r"metadata are damaged: toy/zarr\.json"):
        reader.open_results(store)


def test_a_root_that_is_lost_with_its_copy_is_no_store(store: Path) -> None:
    (store / "zarr.json").write_bytes(b"{")
    shutil.rmtree(store.with_name("out.stemdask"))
    with pytest.raises(StoreError, match="can't be read as a store"):
        reader.verify(store)


def test_a_store_that_was_moved_alone_is_checked_all_the_same(store: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere" / "moved.zarr"
    shutil.copytree(store, alone)
    assert reader.verify(alone).sound
    _swap(alone / "toy/mean/c/1", alone / "toy/mean/c/2")
    _flip(alone / "columns/zarr.json", 5)
    assert reader.verify(alone).damaged == ("columns/zarr.json", "toy/mean/c/1", "toy/mean/c/2")
    assert reader.verify(alone, repair=True).blocks == (1, 2)
    assert json.loads((alone / "columns/zarr.json").read_text())["node_type"] == "group"


def test_a_repair_waits_for_no_run_and_disturbs_none(store: Path) -> None:
    with lock.driving(store.with_name("out.stemdask")), pytest.raises(Busy, match="another run is writing"):
        reader.verify(store, repair=True)


def test_a_block_without_status_is_damage_of_a_complete_store_and_work_of_another(store: Path) -> None:
    (store / "frames/frame_status/c/1").unlink()
    assert reader.verify(store).damaged == ("frames/frame_status/c/1",)
    layout.set_state(store, "partial")
    (store / "toy/mean/c/1").unlink()
    assert reader.status(store).counts[FrameStatus.PENDING] == 4
    assert reader.verify(store).sound


def test_a_store_of_an_older_version_is_read_and_checked_as_far_as_it_can_be(store: Path) -> None:
    """It has neither seal nor checksums of blocks; a killed run could leave it without consolidated metadata."""
    shutil.rmtree(store / "blocks")
    (store.with_name("out.stemdask") / "metadata.json").unlink()
    root = json.loads((store / "zarr.json").read_text())
    del root["consolidated_metadata"], root["attributes"]["metadata_sha256"], root["attributes"]["checksums"]
    (store / "zarr.json").write_text(json.dumps(root))
    found = reader.verify(store)
    assert found.sound
    assert found.chunks == len(_chunks(store))
    assert "fewer checksums" in found.text()
    _flip(store / "toy/mean/c/1", 3)
    assert reader.verify(store).damaged == ("toy/mean/c/1",)
