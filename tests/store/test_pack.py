"""A packed store has few files and the same values; a run that writes to it ends as on one that never was packed."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr
import zarr
from nth import Nth
from zarr.codecs import Crc32cCodec, ZstdCodec

import stemdask as sd
from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.errors import Busy, StorageError, StoreError
from stemdask.model import FrameStatus
from stemdask.results import reader
from stemdask.store import layout, lock, metadata

#: Blocks of four; the last is shorter, and what was written of one lies in chunks beside each other.
N_FRAMES = 18
BESIDE = "columns/y"
LEAST_FREE = 100


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    toy.write_frames(folder / "f.npy", N_FRAMES, {3: "refuse", 9: "many"})
    _run(folder, folder)
    _split(folder / "o.zarr", BESIDE)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A complete store, plain."""
    return _copied(made, tmp_path)


@pytest.fixture
def packed(store: Path) -> Path:
    found = sd.pack(store)
    assert found.after < found.before
    return store


def _copied(made: Path, folder: Path) -> Path:
    for name in ("o.zarr", "o.stemdask"):
        shutil.copytree(made / name, folder / name)
    return folder / "o.zarr"


def _run(made: Path, folder: Path, *more: str, **how: Any) -> Any:
    data: dict[str, Any] = toy.config(made / "f.npy", folder / "o.zarr", limits={"isolate": False})
    data["analyses"] |= {name: {} for name in more}
    return execute(Document(data), **how)


def _split(store: Path, path: str) -> None:
    """Write a variable anew in chunks that lie beside each other, as those of large frames do."""
    root = layout.open_group(store, "r+")
    then = root[path]
    values, size = then[...], (then.chunks[0], then.shape[1] // 3)
    how = {"compressors": [ZstdCodec(), Crc32cCodec()], "dimension_names": then.metadata.dimension_names}
    made = root.create_array(
        path,
        shape=then.shape,
        dtype=then.dtype,
        chunks=size,
        fill_value=then.fill_value,
        attributes=dict(then.attrs),
        overwrite=True,
        **how,
    )
    made.with_config({"write_empty_chunks": True})[...] = values
    metadata.update(store, {}, [path])
    assert reader.verify(store).sound


def _files(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


def _flip(path: Path, at: int = 9) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def _nodes(store: Path) -> dict[str, bytes]:
    return {name: data for name, data in _files(store).items() if name.endswith("/zarr.json")}


def test_a_packed_store_has_the_same_values_dtypes_and_attributes(made: Path, packed: Path) -> None:
    for opened in (
        lambda path: xr.open_datatree(path, engine="zarr"),
        lambda path: xr.DataTree(xr.open_zarr(path, group="columns", chunks={})),
        reader.open_results,
    ):
        with opened(made / "o.zarr") as before, opened(packed) as after:
            before.attrs = {key: value for key, value in before.attrs.items() if key not in ("history", metadata.SEAL)}
            after.attrs = {key: value for key, value in after.attrs.items() if key not in ("history", metadata.SEAL)}
            xr.testing.assert_identical(before.load(), after.load())
            dtypes = [[node.to_dataset().dtypes for node in tree.subtree] for tree in (before, after)]
            assert dtypes[0] == dtypes[1]
    plain, joined = layout.open_group(made / "o.zarr"), layout.open_group(packed)
    for path, array in dict(plain.members(max_depth=None)).items():
        if hasattr(array, "nchunks"):
            assert np.array_equal(array[...], joined[path][...], equal_nan=array.dtype.kind == "f"), path
            assert (array.chunks, dict(array.attrs)) == (joined[path].chunks, dict(joined[path].attrs)), path


def test_what_says_that_a_block_is_done_stays_a_file_of_it(made: Path, packed: Path) -> None:
    root = layout.open_group(packed)
    for path in (layout.STATUS, layout.CHECKSUMS):
        assert root[path].shards is None
    assert root[BESIDE].shards == (20, root[BESIDE].chunks[1])
    assert root["frame"].shards == (20,)
    assert len(list((packed / "toy/mean/c").iterdir())) == 1
    assert (
        len(list((packed / BESIDE / "c/0").iterdir())) == len(list((made / "o.zarr" / BESIDE / "c/0").iterdir())) >= 3
    )
    assert reader.verify(packed).sound
    assert reader.verify(packed).chunks == reader.verify(made / "o.zarr").chunks


def test_it_says_how_many_files_there_were_and_are(store: Path) -> None:
    n_files = len(_files(store))
    found = sd.pack(store)
    assert (found.store, found.before, found.after) == (store, n_files, len(_files(store)))
    assert found.text() == f"{store}: {n_files} files became {found.after}"
    assert str(layout.open_group(store).attrs["history"]).endswith(f"packed, {n_files} files became {found.after}")


def test_a_store_that_is_packed_already_is_left_as_it_is(packed: Path) -> None:
    before = _files(packed)
    again = sd.pack(packed)
    assert again.text() == f"{packed}: nothing to join, {len(before)} files"
    assert _files(packed) == before


def test_of_a_store_of_one_block_nothing_can_be_joined(tmp_path: Path) -> None:
    toy.write_frames(tmp_path / "f.npy", 4)
    _run(tmp_path, tmp_path)
    before = _files(tmp_path / "o.zarr")
    found = sd.pack(tmp_path / "o.zarr")
    assert found.before == found.after == len(before)
    assert _files(tmp_path / "o.zarr") == before


def test_what_somebody_else_put_into_a_store_stays_there(store: Path) -> None:
    (store / "columns/notes").mkdir()
    (store / "columns/notes/read.me").write_text("by hand")
    own = layout.open_group(store, "r+")["columns"].create_array("own", shape=(N_FRAMES,), chunks=(4,), dtype="f4")
    own[:8] = 1
    sd.pack(store)
    assert (store / "columns/notes/read.me").read_text() == "by hand"
    assert np.array_equal(layout.open_group(store)["columns/own"][...], [1.0] * 8 + [0.0] * (N_FRAMES - 8))


def test_a_store_without_its_run_directory_is_packed_too(store: Path) -> None:
    shutil.rmtree(store.with_name("o.stemdask"))
    assert sd.pack(store).after < LEAST_FREE
    assert reader.verify(store).sound


def test_only_a_complete_store_is_packed(store: Path) -> None:
    layout.set_state(store, "partial")
    before = _files(store)
    with pytest.raises(StoreError, match=r"only the store of a complete run can be packed \(got 'partial'\)\. Repeat"):
        sd.pack(store)
    assert _files(store) == before


def test_what_is_no_store_is_refused_and_no_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store here"):
        sd.pack(tmp_path / "none.zarr")
    assert not list(tmp_path.iterdir())


def test_a_store_that_a_run_writes_is_not_packed(store: Path) -> None:
    before = _files(store)
    for shared in (False, True):
        with (
            lock.driving(layout.run_directory(store), shared=shared),
            pytest.raises(Busy, match="another run is writing this store"),
        ):
            sd.pack(store)
    assert _files(store) == before


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("toy/mean/c/2", Path.unlink),
        ("toy/mean/c/2", _flip),
        ("toy/rank/c/0", lambda path: path.write_bytes(b"")),
        ("columns/y/c/1/2", lambda path: path.write_bytes(path.read_bytes()[:-1])),
        ("frame/c/4", _flip),
    ],
    ids=["missing", "flipped", "emptied", "cut", "of a coordinate"],
)
def test_no_damage_is_packed_and_it_is_named(store: Path, name: str, harm: Callable[[Path], object]) -> None:
    harm(store / name)
    before = _files(store)
    with pytest.raises(StoreError, match=rf"{name} is missing or damaged.*verify .*o\.zarr --repair"):
        sd.pack(store)
    assert _files(store) == before
    assert not (layout.run_directory(store) / "new.zarr").exists()


def test_a_lost_status_is_damage_that_is_not_packed(store: Path) -> None:
    (store / "frames/frame_status/c/1").unlink()
    with pytest.raises(StoreError, match="frames/frame_status is missing or damaged"):
        sd.pack(store)


@pytest.mark.parametrize("n", [5, 100, 150])
def test_on_a_full_disk_the_store_is_as_before_and_nothing_is_left(
    store: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    before = _files(store)
    with monkeypatch.context() as patch:
        Nth(patch, n, errno.ENOSPC, store.parent)
        with pytest.raises(StorageError, match="No space left on device"):
            sd.pack(store)
    assert _files(store) == before
    assert not (layout.run_directory(store) / "new.zarr").exists()
    assert sd.pack(store).after < len(before)


def test_a_run_with_nothing_to_do_leaves_a_packed_store_packed(made: Path, packed: Path) -> None:
    before = _files(packed)
    for how in ({}, {"blocks": "1:3"}):
        assert _run(made, packed.parent, **how).complete
        assert _files(packed) == before


@pytest.mark.parametrize(
    ("more", "how"),
    [((), {"retry": "failed"}), ((), {"retry": "overflow"}), (("brightness",), {})],
    ids=["retry failed", "retry overflow", "an analysis more"],
)
def test_a_run_that_writes_to_a_packed_store_gives_the_bytes_of_one_on_a_plain_store(
    made: Path, packed: Path, tmp_path: Path, more: tuple[str, ...], how: dict[str, str]
) -> None:
    (tmp_path / "plain").mkdir()
    plain = _copied(made, tmp_path / "plain")
    assert _run(made, plain.parent, *more, **how).complete
    assert _run(made, packed.parent, *more, **how).complete
    assert toy.contents(packed) == toy.contents(plain)
    assert _nodes(packed) == _nodes(plain)
    assert reader.verify(packed).sound
    assert "apart" in (layout.run_directory(packed) / "log").read_text()
    assert sd.pack(packed).after < len(_files(plain))
    assert reader.verify(packed).sound


def test_what_comes_once_after_is_written_to_a_store_that_was_taken_apart(made: Path, packed: Path) -> None:
    layout.set_state(packed, "partial", finished={})
    assert _run(made, packed.parent).complete
    assert layout.open_group(packed)["toy/rank"].shards is None
    assert toy.contents(packed) == toy.contents(made / "o.zarr")


def test_a_packed_store_that_a_run_may_not_touch_stays_packed(made: Path, packed: Path) -> None:
    before = _files(packed)
    data = toy.config(made / "f.npy", packed, params={"factor": 3.0}, limits={"isolate": False})
    with pytest.raises(StoreError, match="another config"):
        execute(Document(data))
    assert _files(packed) == before


def _cut_index(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("name", "harm", "named", "blocks"),
    [
        ("toy/mean/c/0", _flip, "toy/mean/c/0 [chunk 0]", (0,)),
        ("columns/y/c/0/1", lambda path: _flip(path, -5 * 16 - 4 - 2), "columns/y/c/0/1 [chunk 4]", (4,)),
        ("columns/y/c/0/1", _cut_index, "columns/y/c/0/1", (0, 1, 2, 3, 4)),
        ("frames/file/c/0", Path.unlink, "frames/file/c/0", (0, 1, 2, 3, 4)),
        ("frames/error/c/0", lambda path: _flip(path, -2), "frames/error/c/0", (0, 1, 2, 3, 4)),
        ("frame/c/0", _flip, "frame/c/0 [chunk 0]", ()),
        ("frame/c/0", Path.unlink, "frame/c/0", ()),
        ("toy/rank/c/0", _flip, "toy/rank/c/0 [chunk 0]", ()),
        ("toy/rank/c/0", _cut_index, "toy/rank/c/0", ()),
    ],
    ids=[
        "a chunk", "the last chunk", "an index", "a shard", "a bit of an index",
        "a coordinate", "all of it", "what came once after", "all of that",
    ],
)  # fmt: skip
def test_damage_within_a_shard_is_named_and_only_what_it_costs_is_repeated(
    made: Path, packed: Path, name: str, harm: Callable[[Path], object], named: str, blocks: tuple[int, ...]
) -> None:
    harm(packed / name)
    found = reader.verify(packed, repair=True)
    assert (found.damaged, found.blocks) == ((named,), blocks)
    pending = reader.status(packed).counts[FrameStatus.PENDING]
    assert pending == sum(min(4, N_FRAMES - 4 * block) for block in blocks)
    outcome = _run(made, packed.parent)
    assert (outcome.complete, outcome.fresh) == (True, pending)
    assert reader.verify(packed).sound
    assert toy.contents(packed) == toy.contents(made / "o.zarr")


def test_chunks_that_were_swapped_within_shards_are_found(packed: Path) -> None:
    one, other = (packed / name / "c/0" for name in ("toy/mean", "frames/seconds"))
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    found = reader.verify(packed)
    assert len(found.damaged) == 10
    assert found.blocks == (0, 1, 2, 3, 4)


def test_what_was_lost_in_a_packed_store_is_damage_after_it_was_taken_apart(made: Path, packed: Path) -> None:
    """And isn't read as fill values, also where nobody had verified the store."""
    (packed / "toy/mean/c/0").unlink()
    assert _run(made, packed.parent, retry="failed").complete
    found = reader.verify(packed, repair=True)
    assert found.damaged == tuple(f"toy/mean/c/{block}" for block in range(1, 5)), "block 0 was repeated"
    with pytest.raises(Exception, match=r".*"):
        layout.open_group(packed)["toy/mean"][4:8]
    assert _run(made, packed.parent).complete
    assert toy.contents(packed) == toy.contents(made / "o.zarr")


@pytest.mark.processes
def test_several_drivers_that_share_a_packed_store_take_it_apart_once(made: Path, packed: Path) -> None:
    _cut_index(packed / "toy/mean/c/0")
    assert reader.verify(packed, repair=True).blocks == (0, 1, 2, 3, 4)
    data = toy.config(made / "f.npy", packed, limits={"isolate": False})
    drivers = [toy.drive(data, blocks=blocks) for blocks in ("0:2", "2:4", "4:5")]
    assert {driver.wait(300) for driver in drivers} <= {0, 3}
    assert str(layout.open_group(packed).attrs["history"]).count("taken apart") == 1
    assert _run(made, packed.parent).complete
    assert reader.verify(packed).sound
    assert toy.contents(packed) == toy.contents(made / "o.zarr")


def test_who_opened_a_store_before_it_was_packed_must_open_it_again(store: Path) -> None:
    """Or would read fill values where there are no files any more: why a run doesn't pack by itself."""
    then = zarr.open_group(store, mode="r")["toy/mean"]
    values = then[...]
    sd.pack(store)
    assert np.isnan(then[12:]).all()
    assert not np.isnan(values[12:]).any()
    assert np.array_equal(zarr.open_group(store, mode="r")["toy/mean"][...], values, equal_nan=True)
