"""Whatever is killed, running again ends with the bytes of an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import toy

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.results import reader

pytestmark = pytest.mark.processes

LIMITS = {"isolate": True, "frame_seconds": 600.0}
KINDS = ["inline", pytest.param("threads", marks=pytest.mark.slow), "processes"]


def _config(folder: Path, output: str, cluster: str = "processes", **more: Any) -> dict[str, Any]:
    more = {"params": {"seconds": 0.02}, "limits": LIMITS} | more
    return toy.config(folder / "f.npy", folder / output, cluster=cluster, **more)


def _pausing(folder: Path, output: str, cluster: str = "processes", after: int = 2, **more: Any) -> dict[str, Any]:
    return _config(folder, output, cluster, params=toy.pausing(folder / output, after), **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    toy.write_frames(folder / "f.npy", 80, {17: "refuse", 33: "raise"})
    _continue(folder, _config(folder, "undisturbed.zarr"))
    return folder


def _continue(folder: Path, data: dict[str, Any]) -> None:
    outcome = execute(Document(data | {"cluster": {"kind": "inline"}, "limits": {"isolate": False}}))
    assert outcome.complete


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def _workers(pid: int) -> list[psutil.Process]:
    found = []
    for one in _family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [one] if "spawn_main" in " ".join(one.cmdline()) else []
    return found


def _same(folder: Path, output: str) -> bool:
    return toy.contents(folder / output) == toy.contents(folder / "undisturbed.zarr")


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_killed_half_way_leaves_no_process_and_is_continued(folder: Path, kind: str) -> None:
    output = f"half-{kind}.zarr"
    data = _pausing(folder, output, kind, after=6)
    driver = toy.drive(data)
    toy.wait_until(lambda: toy.blocks_done(folder / output) >= 6)
    family = _family(driver.pid)
    driver.kill()
    driver.wait()
    _, left = psutil.wait_procs(family, timeout=60)
    assert not left
    done = toy.blocks_done(folder / output)
    assert 6 <= done < 20
    toy.go_on(folder / output)
    _continue(folder, data)
    assert _same(folder, output)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_kills_at_random_times_of_anything_lose_nothing(folder: Path, seed: int) -> None:
    choose = random.Random(seed)
    output = f"random-{seed}.zarr"
    code, kills = None, 0
    for _ in range(12):
        driver = toy.drive(_config(folder, output))
        time.sleep(choose.uniform(0.5, 5.0))
        family = _family(driver.pid)
        if driver.poll() is None:
            kills += 1
            victim = choose.choice(["driver", "worker", "group"])
            if victim == "worker" and family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    choose.choice(family).kill()
            elif victim == "group":
                os.killpg(driver.pid, signal.SIGKILL)
                for one in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()
            else:
                driver.kill()
            if victim == "worker":
                with contextlib.suppress(Exception):
                    driver.wait(20)
                driver.kill()
        code = driver.wait()
        if code == 3:
            break
    if code != 3:
        _continue(folder, _config(folder, output))
    assert kills
    assert _same(folder, output)


def test_a_run_goes_on_when_workers_are_killed_under_it(folder: Path) -> None:
    driver = toy.drive(_pausing(folder, "workers.zarr"))
    toy.wait_until(lambda: toy.blocks_done(folder / "workers.zarr") >= 2)
    toy.wait_until(lambda: len(_workers(driver.pid)) == 2)
    for one in _workers(driver.pid):
        one.kill()
    toy.go_on(folder / "workers.zarr")
    assert driver.wait(180) == 3
    assert _same(folder, "workers.zarr")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 75),
        (signal.SIGINT, 130),
        pytest.param(signal.SIGHUP, 75, marks=pytest.mark.slow),
    ],
    ids=["SIGTERM", "SIGINT", "SIGHUP"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_asked_to_stop_ends_in_order_and_is_continued(
    folder: Path, kind: str, number: signal.Signals, code: int
) -> None:
    output = f"{number.name}-{kind}.zarr"
    data = _pausing(folder, output, kind, after=3)
    driver = toy.drive(data)
    toy.wait_until(lambda: toy.blocks_done(folder / output) >= 3)
    os.killpg(driver.pid, number) if number == signal.SIGINT else driver.send_signal(number)
    toy.go_on(folder / output)
    assert driver.wait(120) == code
    status = reader.status(folder / output)
    assert status.state == "partial"
    words = toy.words_of(folder / output)
    assert f"stopped by {number.name}" in words
    assert "Run again to continue" in words
    assert not list((folder / output.replace(".zarr", ".stemdask")).glob("scratch*"))
    _continue(folder, data)
    assert _same(folder, output)


@pytest.mark.slow
def test_ctrl_c_a_second_time_waits_for_no_frame_and_the_run_is_continued(folder: Path) -> None:
    data = _pausing(folder, "twice.zarr", "processes", after=3)
    driver = toy.drive(data)
    toy.wait_until(lambda: toy.blocks_done(folder / "twice.zarr") >= 3)
    toy.wait_until(lambda: len(_workers(driver.pid)) == 2)
    workers = _workers(driver.pid)
    os.killpg(driver.pid, signal.SIGINT)
    time.sleep(1)
    assert driver.poll() is None, "it waits for the blocks in flight"
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(120) == 130
    assert not psutil.wait_procs(workers, timeout=30)[1]
    assert reader.status(folder / "twice.zarr").state == "partial"
    toy.go_on(folder / "twice.zarr")
    _continue(folder, data)
    assert _same(folder, "twice.zarr")


@pytest.mark.parametrize("number", [2, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_of_several_drivers_one_does_the_work_and_the_others_are_refused(folder: Path, number: int) -> None:
    store = folder / f"{number}.zarr"
    data = _pausing(folder, store.name, "inline", limits={"isolate": False})
    drivers = [toy.drive(data) for _ in range(number)]
    toy.wait_until(lambda: sum(driver.poll() is None for driver in drivers) == 1, 600)
    toy.go_on(store)
    assert sorted(driver.wait(200) for driver in drivers) == [2] * (number - 1) + [3]
    assert _same(folder, store.name)
