"""A power cut on a real block device: what was said to be done is there, and the same command ends with the same bytes.

The file system of a loop device is shut down without writing anything more, its journal neither (the ioctl by which the
developers of ext4 and xfs test their own), so that all that no ``fsync`` has forced to the disk is gone.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import toy
import verbs

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.model import FrameStatus
from stemdask.results import reader
from stemdask.store.layout import STATUS, run_directory
from stemdask.store.place import is_store
from stemdask.store.statuses import read_statuses

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(1800)]

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
_WITHOUT_JOURNAL = 2
N_CUTS = 24


class Disk:
    """An ext4 file system on a loop device."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image, self.folder = image, folder
        with image.open("wb") as file:
            file.truncate(64 * 2**20)
        _do("mkfs.ext4", "-q", "-F", str(image))
        folder.mkdir()
        self.mount()

    def mount(self) -> None:
        """Mount it; the journal writes nothing by itself for as long as a test takes."""
        _do("mount", "-o", "loop,commit=900", str(self._image), str(self.folder))

    def cut(self) -> None:
        """Cut the power."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_JOURNAL))
        finally:
            os.close(descriptor)

    def unmount(self) -> None:
        """Unmount it, once nobody has a file open on it."""
        toy.wait_until(
            lambda: subprocess.run(["umount", str(self.folder)], capture_output=True, check=False).returncode == 0
        )


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("a block device of one's own takes root and e2fsprogs")
    try:
        disk = Disk(tmp_path / "disk.img", tmp_path / "disk")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop device can be mounted: {error.stderr.decode().strip()}")
    yield disk
    disk.unmount()


@pytest.fixture
def data(disk: Disk, tmp_path: Path) -> dict[str, Any]:
    frames = toy.write_frames(tmp_path / "f.npy", 80, {17: "refuse"})
    return toy.config(frames, disk.folder / "o.zarr", params={"seconds": 0.01, "once": 0.02}, limits={"isolate": False})


def _cut_while_it_runs(disk: Disk, data: dict[str, Any], words: Path, seconds: float) -> tuple[bool, set[str]]:
    """Start a run and cut the power; return whether it was at work, and which statuses were surely on the disk."""
    store = disk.folder / "o.zarr"
    driver = verbs.start("run", words, data=data)
    driver.join(seconds)
    at_work = driver.exitcode is None
    # Blocks are done one after the other: the newest status may not have been forced to the disk yet.
    chunks = sorted(_statuses(store), key=lambda path: path.stat().st_mtime_ns)[: -1 if at_work else None]
    disk.cut()
    driver.kill()
    driver.join()
    disk.unmount()
    disk.mount()
    return at_work, {path.name for path in chunks}


def _statuses(store: Path) -> list[Path]:
    return list((store / STATUS / "c").glob("[0-9]*"))


def _done(store: Path) -> set[str]:
    """Return the blocks whose status can be read."""
    if not is_store(store):
        return set()
    statuses = read_statuses(store).reshape(-1, 4)
    return {str(block) for block, row in enumerate(statuses) if (row != FrameStatus.PENDING).all()}


def test_a_power_cut_loses_no_block_that_was_done(
    disk: Disk, data: dict[str, Any], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    choose = random.Random(3)
    words, store = tmp_path / "words", disk.folder / "o.zarr"
    start = time.monotonic()
    undisturbed = toy.contents(execute(Document(data | {"output": str(tmp_path / "u.zarr")})).store)
    seconds = time.monotonic() - start
    cuts = n_certain = 0
    while cuts < N_CUTS:
        shutil.rmtree(store, ignore_errors=True)
        shutil.rmtree(run_directory(store), ignore_errors=True)
        at_work = True
        while at_work and cuts < N_CUTS:
            at_work, certain = _cut_while_it_runs(disk, data, words, choose.uniform(0, seconds))
            cuts += at_work
            n_certain += len(certain)
            assert certain <= _done(store)
            assert not store.exists() or reader.verify(store).sound
        assert execute(Document(data)).complete
        assert toy.contents(store) == undisturbed
        assert reader.verify(store).sound
    record_property("figure", f"{cuts} power cuts, {n_certain} blocks done before one, none lost")
    assert n_certain > N_CUTS


def test_a_power_cut_loses_blocks_where_nothing_is_forced_to_the_disk(
    disk: Disk,
    data: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """Or the test above could not fail."""
    monkeypatch.setenv("TOY_NO_SYNC", "1")
    words, store = tmp_path / "words", disk.folder / "o.zarr"
    for seconds in range(1, 30):
        _, certain = _cut_while_it_runs(disk, data, words, seconds)
        if len(certain) > 5:
            break
    assert not certain <= _done(store)
    record_property("figure", f"without fsync {len(certain - _done(store))} of {len(certain)} blocks are lost")
