"""Files are there whole or not at all, and what a killed writer left beside them goes with the next writing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stemdask.store import disk


def _write_and_die(path: Path) -> None:
    """Write a file in a process that ends before the bytes are on the disk."""
    process = os.fork()
    if process == 0:
        os.fsync = lambda descriptor: os._exit(9)
        disk.write_file(path, "half")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


@pytest.mark.parametrize("name", ["report.html", "a[b]*.png"])
def test_what_a_killed_writer_left_goes_with_the_next_writing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    _write_and_die(path)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(f".{name}.")
    disk.write_file(path, "whole")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_what_a_living_writer_or_somebody_else_has_beside_it_stays(tmp_path: Path) -> None:
    machine = disk.writer().partition("-")[0]
    gone = f"{machine}-99999999"
    assert disk.is_gone(gone)
    elsewhere = "0badcafe-99999999"  # a process of another machine that writes to the same folder
    others = {f".a.html.{who}.partial" for who in (f"{machine}-{os.getppid()}", "mine", "99999999", elsewhere)}
    others |= {f".b.html.{gone}.partial", "a.html.partial"}
    for name in others:
        (tmp_path / name).touch()
    disk.write_file(tmp_path / "a.html", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {*others, "a.html"}
