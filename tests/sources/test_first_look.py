"""A file is opened once, and what that tells is all that a plan asks of a small one."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from stemdask.errors import InputError
from stemdask.sources.first_look import look_at
from stemdask.sources.opening import open_source

KB_64 = 1 << 16
_opened: Counter[str] | None = None


def _count(event: str, given: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(given[0], str):
        _opened[Path(given[0]).name] += 1


sys.addaudithook(_count)


@pytest.fixture
def opened() -> Iterator[Counter[str]]:
    """Count how often each file is opened."""
    global _opened
    _opened = Counter()
    yield _opened
    _opened = None


@pytest.mark.parametrize("size", [1, KB_64 - 1, KB_64, KB_64 + 1, 2 * KB_64, 2 * KB_64 + 1, 5 * KB_64 + 7])
def test_the_digest_is_that_of_the_size_and_the_first_and_last_64_kB(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    (tmp_path / "file").write_bytes(content)
    look, status = look_at(str(tmp_path / "file")), (tmp_path / "file").stat()
    stands_for = str(size).encode() + content[:KB_64] + content[max(KB_64, size - KB_64) :]
    assert look.digest == hashlib.blake2b(stands_for, digest_size=8).hexdigest()
    assert (look.size, look.mtime_ns, look.inode) == (size, status.st_mtime_ns, status.st_ino)


@pytest.mark.parametrize("name", ["frame.xyz", "frame.xyz.gz"])
def test_a_small_file_is_not_needed_again_to_read_what_it_holds(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"1\n\nPt 0 0 0\n") if path.suffix == ".gz" else b"1\n\nPt 0 0 0\n")
    look = look_at(str(path))
    path.unlink()
    with look.plain() as stream:
        assert stream.read() == b"1\n\nPt 0 0 0\n"


def test_a_large_file_is_read_to_its_end(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(3 * KB_64)
    (tmp_path / "file").write_bytes(content)
    with look_at(str(tmp_path / "file")).plain() as stream:
        assert stream.read() == content


def test_what_would_be_waited_for_is_refused_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    os.mkfifo("pipe.xyz")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.xyz")
        for path in ("pipe.xyz", "socket.xyz"):
            with pytest.raises(InputError, match="not a regular file"):
                look_at(path)


TEXTS = {
    "xyz": "1\n\nPt 0 0 0\n",
    "lammpstrj": "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
    "ITEM: ATOMS id element x y z\n1 Pt 1 1 1\n",
    "pdb": "ATOM      1 PT   MOL     1       1.000   2.000   3.000  1.00  0.00          PT\nEND\n",
    "gro": "frame\n    1\n    1MOL     PT    1   0.100   0.200   0.300\n   1.0 1.0 1.0\n",
    "vasp": "Pt\n1.0\n4 0 0\n0 4 0\n0 0 4\nPt\n1\nDirect\n0 0 0\n",
    "csv": "element,x,y,z\nPt,1,2,3\n",
}


@pytest.mark.parametrize("suffix", TEXTS)
def test_each_of_many_texts_is_opened_once(tmp_path: Path, opened: Counter[str], suffix: str) -> None:
    for k in range(20):
        (tmp_path / f"{k:02d}.{suffix}").write_text(TEXTS[suffix])
    opened.clear()
    assert open_source(tmp_path).n_frames == 20
    assert {opened[f"{k:02d}.{suffix}"] for k in range(1, 20)} == {1}  # the first one is read, too


def test_each_of_many_images_is_opened_once(tmp_path: Path, opened: Counter[str]) -> None:
    for k in range(600):  # of so many every second one is read as an image, too
        np.save(tmp_path / f"{k:03d}.npy", np.ones((8, 9), np.float32))
    opened.clear()
    assert open_source(tmp_path).n_frames == 600
    assert {opened[f"{k:03d}.npy"] for k in range(1, 598, 2)} == {1}


@pytest.mark.parametrize("suffix", ["npy", "tif"])
def test_each_of_many_large_images_is_opened_once(tmp_path: Path, opened: Counter[str], suffix: str) -> None:
    pixels = np.random.default_rng(0).random((200, 201))
    for k in range(600):
        path = tmp_path / f"{k:03d}.{suffix}"
        if k:
            path.write_bytes((tmp_path / f"000.{suffix}").read_bytes())
        elif suffix == "npy":
            np.save(path, pixels)
        else:
            tifffile.imwrite(path, pixels)
    opened.clear()
    assert open_source(tmp_path).n_frames == 600
    assert {opened[f"{k:03d}.{suffix}"] for k in range(1, 598, 2)} == {1}


def test_a_file_whose_content_is_of_another_format_than_the_first_is_named(tmp_path: Path) -> None:
    for k in range(3):
        np.save(tmp_path / f"{k}.npy", np.random.default_rng(k).random((9, 3 if k == 2 else 9)))
    with pytest.raises(InputError, match="several formats: the content is a NumPy file of positions") as refused:
        open_source(tmp_path)
    assert refused.value.where == str(tmp_path / "2.npy")
