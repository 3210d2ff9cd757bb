"""A process that may open few files, a folder of very many, and secrets in its environment."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import toy

from stemdask import simulate
from stemdask.errors import ClusterError
from stemdask.sources.opening import open_source

pytestmark = pytest.mark.processes

SECRET = "hunter2-in-no-file"


def _run(folder: Path, *more: str, **how: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stemdask", "run", "f.npy", "-o", "o.zarr", "--no-report", *more]
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, cwd=folder, capture_output=True, text=True, timeout=280, check=False, **how
    )


@pytest.mark.long
def test_a_run_that_may_open_too_few_files_says_so_and_is_continued_where_it_may_open_more(tmp_path: Path) -> None:
    images, _ = simulate.stack(3, shape=(90, 90), spacing=14.0, seed=1)
    np.save(tmp_path / "f.npy", images)

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    done = _run(tmp_path, "--cluster", "processes", preexec_fn=few)
    assert done.returncode == ClusterError.exit_code, done.stderr
    assert "Traceback" not in done.stderr
    assert "by the limit of 24 open files" in done.stderr
    again = _run(tmp_path, "--cluster", "inline")
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_files_are_one_input_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros((16, 16), np.uint8))
    one = (tmp_path / "one.npy").read_bytes()
    folder = tmp_path / "frames"
    folder.mkdir()
    for n in range(100_000):
        (folder / f"frame{n}.npy").write_bytes(one)
    before = psutil.Process().cpu_times()
    source = open_source(str(folder / "*.npy"))
    after = psutil.Process().cpu_times()
    assert source.n_frames == 100_000
    assert [Path(source.file_of(n)).name for n in (0, 2, 10, 99_999)] == [f"frame{n}.npy" for n in (0, 2, 10, 99_999)]
    assert after.user + after.system - before.user - before.system < 120.0


@pytest.mark.long
def test_a_secret_of_the_environment_stands_in_no_file_and_on_no_command_line(tmp_path: Path) -> None:
    store = tmp_path / "o.zarr"
    frames = toy.write_frames(tmp_path / "f.npy", 24)
    os.environ["MY_TOKEN"] = os.environ["AWS_SECRET_ACCESS_KEY"] = SECRET
    try:
        driver = toy.drive(toy.config(frames, store, cluster="processes", params=toy.pausing(store)))
    finally:
        del os.environ["MY_TOKEN"], os.environ["AWS_SECRET_ACCESS_KEY"]
    toy.wait_until(lambda: toy.blocks_done(store) >= 2)
    family = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
    words = [word for one in family for word in one.cmdline()]
    toy.go_on(store)
    assert driver.wait(200) == 0
    assert len(family) > 2
    assert not [word for word in words if SECRET in word]
    report = subprocess.run(
        [sys.executable, "-m", "stemdask", "status", str(store)], capture_output=True, text=True, check=True
    )
    assert SECRET not in report.stdout
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
