from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import toy

from stemdask.engine.dispatch import Job
from stemdask.engine.workers.cluster import DaskPool
from stemdask.errors import Stopped

pytestmark = pytest.mark.processes


def test_a_second_run_of_one_process_finds_dask_as_it_was(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 4)
    configs = [toy.config(frames, tmp_path / f"{name}.zarr", {"kind": "processes", "workers": 1}) for name in "ab"]
    program = (
        "import toy, stemdask; toy.install()\n"
        f"for config in {configs!r}: stemdask.run(config)\n"
        "import dask.config\n"
        "print(dask.config.get('distributed.deploy.lost-worker-timeout'))\n"
    )  # unguarded: workers must not run it again
    script = tmp_path / "script.py"
    script.write_text(program)
    found = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True)
    assert found.stdout == "15s\n"
    assert found.stderr == ""


def test_workers_that_do_not_end_in_time_do_not_hide_how_the_run_ended(tmp_path: Path) -> None:
    ended = []

    def hang() -> None:
        raise TimeoutError("timed out after 30 s.")

    class Slow(DaskPool):
        def start(self) -> Any:
            self._stack.callback(ended.append, "client")
            self._stack.callback(hang)
            return SimpleNamespace(subscribe_topic=lambda topic, told: None)

        def alive(self) -> int:
            return 0

    job = Job(str(tmp_path / "o.zarr"), 1, True, 0, lambda: False)
    with pytest.raises(Stopped, match="stopped by SIGTERM"), Slow(job, 1, 60.0):
        raise Stopped("stopped by SIGTERM")
    assert ended == ["client"]
