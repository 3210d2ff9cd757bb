from __future__ import annotations

import errno
import shutil
import stat
from pathlib import Path

import pytest
import toy
import zarr

import stemdask as sd
from stemdask.errors import StoreError
from stemdask.store import layout, place, verify


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    return toy.write_frames(tmp_path / "f.npy", 6)


def _run(frames: Path, output: Path, **more: object) -> Path:
    fresh = bool(more.pop("fresh", False))
    return sd.run(toy.config(frames, output, limits={"isolate": False}, **more), fresh=fresh)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("what", ["folder", "file", "link", "zarr"])
def test_what_stemdask_did_not_make_is_left_alone(tmp_path: Path, frames: Path, what: str, fresh: bool) -> None:
    output = tmp_path / "out.zarr"
    if what == "folder":
        output.mkdir()
        (output / "thesis.tex").write_text("years")
    elif what == "file":
        output.write_text("years")
    elif what == "link":
        output.symlink_to(_run(frames, tmp_path / "other.zarr"))
    else:
        zarr.create_group(output, zarr_format=3).create_array("a", shape=(3,), dtype="f4")[:] = 1
    before = sorted((str(p), p.read_bytes()) for p in output.rglob("*") if p.is_file())
    with pytest.raises(StoreError, match="not a store that stemdask made"):
        _run(frames, output, fresh=fresh)
    assert before == sorted((str(p), p.read_bytes()) for p in output.rglob("*") if p.is_file())
    assert not layout.run_directory(output).exists()


@pytest.mark.parametrize("name", ["toy", "toy/mean", "columns/y/c", "columns/y/c/1"])
def test_nothing_is_written_through_a_link_in_a_store(tmp_path: Path, frames: Path, name: str) -> None:
    store = _run(frames, tmp_path / "out.zarr")
    (store / name).rename(tmp_path / "elsewhere")
    (store / name).symlink_to(tmp_path / "elsewhere")
    (chunk := min((store / name).rglob("[0-9]"), key=lambda path: (path.is_dir(), path))).unlink()
    assert not verify.verify(store).sound
    for write in (lambda: verify.verify(store, repair=True), lambda: _run(frames, store)):
        with pytest.raises(StoreError, match="a link lies in the store"):
            write()
    assert not chunk.exists()


def test_an_empty_folder_may_become_the_store(tmp_path: Path, frames: Path) -> None:
    (tmp_path / "out.zarr").mkdir()
    assert place.is_store(_run(frames, tmp_path / "out.zarr"))


def test_a_store_that_was_being_made_is_never_seen(tmp_path: Path, frames: Path) -> None:
    store = tmp_path / "out.zarr"
    layout.run_directory(store).mkdir()

    def half(path: Path) -> None:
        zarr.create_group(path, zarr_format=3, attributes={"fingerprint": "x"})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.install(half, store)
    assert not store.exists()
    assert place.is_store(_run(frames, store))
    assert not (layout.run_directory(store) / "new.zarr").exists()


@pytest.mark.parametrize("refused", ["out.zarr", "new.zarr"])
def test_where_another_store_can_not_take_its_place_the_old_one_is_put_back_at_once(
    tmp_path: Path, frames: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    store = _run(frames, tmp_path / "out.zarr")
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    rename = Path.rename

    def refusing(path: Path, target: Path) -> Path:
        if path.name == refused:
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(path, target)

    def half(path: Path) -> None:
        shutil.copytree(store / "toy", path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refusing)
        with pytest.raises(OSError, match="No space left"):
            place.replace(half, store)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    assert not list(layout.run_directory(store).glob("*.zarr"))


def test_another_config_is_refused_with_the_keys_that_changed(tmp_path: Path, frames: Path) -> None:
    _run(frames, tmp_path / "out.zarr")
    with pytest.raises(StoreError, match=r"another config; changed: analyses\.toy\.factor[ .]"):
        _run(frames, tmp_path / "out.zarr", params={"factor": 3.0})


def test_another_input_is_refused(tmp_path: Path, frames: Path) -> None:
    _run(frames, tmp_path / "out.zarr")
    toy.write_frames(frames, 7)
    with pytest.raises(StoreError, match="other input"):
        _run(frames, tmp_path / "out.zarr")


def test_starting_over_keeps_the_old_store(tmp_path: Path, frames: Path) -> None:
    old = toy.contents(_run(frames, tmp_path / "out.zarr"))
    _run(frames, tmp_path / "out.zarr", params={"factor": 3.0}, fresh=True)
    _run(frames, tmp_path / "out.zarr", fresh=True)
    assert toy.contents(tmp_path / "out.zarr.old-1") == old == toy.contents(tmp_path / "out.zarr")
    assert place.is_store(tmp_path / "out.zarr.old-2")


def test_the_run_directory_is_its_owners_alone(tmp_path: Path, frames: Path) -> None:
    _run(frames, tmp_path / "out.zarr")
    assert stat.S_IMODE((tmp_path / "out.stemdask").stat().st_mode) == 0o700


def test_what_a_killed_writer_left_is_swept(tmp_path: Path, frames: Path) -> None:
    store = _run(frames, tmp_path / "out.zarr")
    left = store / "toy/mean/c/0.0123456789abcdef0123456789abcdef.partial"
    left.write_bytes(b"half")
    _run(frames, store)
    assert not left.exists()


def test_an_interrupted_replacement_is_undone(tmp_path: Path, frames: Path) -> None:
    store = _run(frames, tmp_path / "out.zarr")
    before = toy.contents(store)
    store.rename(layout.run_directory(store) / "replaced.zarr")
    _run(frames, store)
    assert toy.contents(store) == before


@pytest.mark.parametrize("name", ["none", "x" * 300, "a\0b", "file/below"])
def test_there_is_no_store_where_no_path_can_be_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    for look in (place.check_store, verify.verify):
        with pytest.raises(StoreError, match="there is no store here"):
            look(tmp_path / name)
