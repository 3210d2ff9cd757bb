from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import toy

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
