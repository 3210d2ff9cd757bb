"""Stores worked on twice, that nobody may write, or that were copied in part; inputs and clocks that go astray."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import verbs

from stemdask.results import reader
from stemdask.store.layout import run_directory

pytestmark = pytest.mark.processes

N_FRAMES = 24


def _do(verb: str, **given: Any) -> tuple[int, str]:
    """Do a verb; return its exit code and what it said of a failure."""
    words = io.StringIO()
    with contextlib.redirect_stderr(words):
        code = verbs.do(verb, **given)
    return code, words.getvalue()


def _config(folder: Path, **more: Any) -> dict[str, Any]:
    return toy.config(folder / "f.npy", folder / "o.zarr", limits={"isolate": False}, **more)


def _extended(folder: Path) -> dict[str, Any]:
    data = _config(folder)
    return data | {"analyses": data["analyses"] | {"brightness": {}}}


def _read(store: Path, own: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the verbs that write nothing to a store."""
    return [
        ("verify", {"store": str(store)}),
        ("view", {"store": str(store), "frame": 0}),
        ("export", {"store": str(store), "to": str(own / "out")}),
        ("report", {"store": str(store), "to": str(own / "report.html")}),
        ("figures", {"store": str(store), "to": str(own / "figures")}),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    toy.write_frames(tmp_path / "place/f.npy", N_FRAMES)
    return tmp_path / "place"


@pytest.fixture
def complete(folder: Path) -> dict[str, bytes]:
    """The bytes of a complete run, which is there."""
    assert _do("run", data=_config(folder)) == (0, "")
    return toy.contents(folder / "o.zarr")


def test_a_store_is_read_while_its_run_goes_on_and_nobody_else_writes_to_it(folder: Path, tmp_path: Path) -> None:
    store = folder / "o.zarr"
    data = _config(folder, params=toy.pausing(store))
    driver = toy.drive(data)
    try:
        toy.wait_until(lambda: toy.blocks_done(store) >= 2)
        for verb, given in _read(store, tmp_path):
            assert _do(verb, **given)[0] == 0, verb
        for verb, given in (("run", {"data": _extended(folder)}), ("repair", {"store": str(store)})):
            code, said = _do(verb, **given)
            assert code != 0, verb
            assert "another run is writing this store" in said
            assert said.count("\n") == 1
        toy.go_on(store)
        assert driver.wait(180) == 0
    finally:
        driver.kill()
        driver.wait()
    disturbed = toy.contents(store)
    shutil.rmtree(store)
    shutil.rmtree(run_directory(store))
    assert _do("run", data=data) == (0, "")
    assert toy.contents(store) == disturbed


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Let a process stand still, if it hasn't ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_store_that_is_extended_is_sound_at_every_moment(
    folder: Path, complete: dict[str, bytes], tmp_path: Path
) -> None:
    looks = 0
    process = verbs.start("run", tmp_path / "words", data=_extended(folder))
    while process.exitcode is None:
        with _stopped(process.pid):  # a moment lasts as long as a look at it takes
            found = reader.verify(folder / "o.zarr")
        assert found.sound, found.text()
        looks += 1
        process.join(0.05)
    assert process.exitcode == 0, (tmp_path / "words").read_text()
    assert looks > 5
    extended = toy.contents(folder / "o.zarr")
    assert {name for name in complete if extended.get(name) != complete[name]} == set()


def test_two_exports_into_one_folder_at_once_leave_what_the_next_one_replaces(
    folder: Path, complete: dict[str, bytes], tmp_path: Path
) -> None:
    given = {"store": str(folder / "o.zarr"), "to": str(tmp_path / "out")}
    for verb in ("export", "figures"):
        both = [verbs.start(verb, tmp_path / f"{verb}-{k}", **given) for k in range(2)]
        for k, process in enumerate(both):
            process.join(240)
            assert process.exitcode == 0, (tmp_path / f"{verb}-{k}").read_text()
    alone = {"store": str(folder / "o.zarr"), "to": str(tmp_path / "alone")}
    for verb in ("export", "figures"):
        assert _do(verb, **given) == (0, ""), verb
        assert _do(verb, **alone) == (0, ""), verb
    files = [{p.name: p.read_bytes() for p in (tmp_path / name).glob("[!.]*")} for name in ("out", "alone")]
    assert files[0] == files[1]
    assert not list((tmp_path / "out").glob(".partial*"))


@pytest.fixture
def read_only(folder: Path, complete: dict[str, bytes]) -> Iterator[Path]:
    """The folder of a complete store, mounted so that nobody writes to it."""
    mounts = (["mount", "--bind", str(folder), str(folder)], ["mount", "-o", "remount,ro,bind", str(folder)])
    for command in mounts:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_store_on_a_read_only_file_system_is_read_and_a_refusal_is_a_sentence(
    read_only: Path, tmp_path: Path
) -> None:
    store = read_only / "o.zarr"
    for verb, given in _read(store, tmp_path):
        assert _do(verb, **given) == (0, ""), verb
    for verb, given in (
        ("run", {"data": _config(read_only)}),
        ("run", {"data": _extended(read_only)}),
        ("repair", {"store": str(store)}),
        ("pack", {"store": str(store)}),
        ("export", {"store": str(store), "to": str(read_only / "out")}),
        ("report", {"store": str(store), "to": str(read_only / "report.html")}),
        ("run", {"data": _config(read_only) | {"output": str(read_only / "new.zarr")}}),
    ):
        code, said = _do(verb, **given)
        assert code in (2, 74), (verb, code, said)
        assert "Read-only file system" in said, (verb, said)
        assert said.count("\n") == 1, (verb, said)


@pytest.mark.parametrize("part", [0.02, 0.15, 0.5, 0.85, 0.99])
def test_a_store_that_was_copied_in_part_is_found_out_and_completed(
    folder: Path, complete: dict[str, bytes], tmp_path: Path, part: float
) -> None:
    store = folder / "o.zarr"
    whole = store.rename(tmp_path / "whole.zarr")
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    for path in files[: max(1, int(part * len(files)))]:
        target = store / path.relative_to(whole)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    code, said = _do("verify", store=str(store))
    assert (code, bool(said)) in ((1, False), (2, True)), said
    assert code == 1 or "this can't be read as a store that stemdask made" in said
    assert _do("repair", store=str(store))[0] == code
    again, said = _do("run", data=_config(folder))
    if code == 2:  # nothing of it tells whose it is
        assert again == 2
        assert "this is not a store that stemdask made" in said
        shutil.rmtree(store)
        again, said = _do("run", data=_config(folder))
    assert again == 0, said
    assert reader.verify(store).sound
    assert toy.contents(store) == complete


def test_a_linked_input_that_vanishes_fails_its_frames_and_is_done_once_it_is_back(folder: Path) -> None:
    store = folder / "o.zarr"
    (folder / "f.npy").rename(folder / "elsewhere.npy")
    (folder / "f.npy").symlink_to("elsewhere.npy")
    data = _config(folder, params=toy.pausing(store)) | {"limits": {"isolate": True, "max_failed": 1.0}}
    driver = toy.drive(data)
    try:
        toy.wait_until(lambda: toy.blocks_done(store) >= 2)
        (folder / "elsewhere.npy").rename(folder / "gone.npy")
        toy.go_on(store)
        assert driver.wait(180) == 3
    finally:
        driver.kill()
        driver.wait()
    status = reader.status(store)
    assert status.bad
    assert all("f.npy: can't be read: No such file or directory" in reason for _, _, _, reason, _ in status.bad)
    (folder / "gone.npy").rename(folder / "elsewhere.npy")
    assert _do("run", data=data, retry="failed") == (0, "")
    mean = reader.open_results(store)["toy/mean"].to_numpy()
    np.testing.assert_allclose(mean, 2 * np.load(folder / "f.npy")[:, 1:].mean(axis=(1, 2)), rtol=1e-6)


def test_a_clock_that_jumps_changes_no_byte(
    folder: Path, complete: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, jumps = time.time, itertools.cycle((0.0, -86400.0, 3600.0, -7e8))
    shutil.rmtree(folder / "o.zarr")
    shutil.rmtree(run_directory(folder / "o.zarr"))
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    for number in (1, 2):  # and again, where there is nothing left to do
        assert _do("run", data=_config(folder)) == (0, ""), number
        assert toy.contents(folder / "o.zarr") == complete
    assert reader.verify(folder / "o.zarr").sound
