"""What a promise hangs on is asked for where stemdask is installed, and missed aloud where it isn't there."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import toy
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "too_old"),
    [
        ("zarr", "3.1.2"),  # a killed writer left torn chunks
        ("distributed", "2025.12"),
        ("cryptography", "43"),
        ("rosettasciio", "0.14"),
    ],
)
def test_versions_that_a_promise_hangs_on_are_asked_for(name: str, too_old: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = [found for text in project["dependencies"] if (found := Requirement(text)).name == name]
    assert not wanted.specifier.contains(Version(too_old))


@pytest.mark.processes
def test_without_the_package_that_encrypts_no_worker_is_started(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 4)
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "import toy, verbs; toy.install()\n"
        f"sys.exit(verbs.do('run', data={toy.config(frames, tmp_path / 'o.zarr', 'processes')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "pip install cryptography" in done.stderr
    assert "Traceback" not in done.stderr
    assert toy.blocks_done(tmp_path / "o.zarr") == 0
