"""What a new batch system takes: one file with its record, and its kind in the config."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import toy
import yaml

import stemdask
from stemdask.config.document import Document
from stemdask.engine.run import execute

pytestmark = pytest.mark.processes

TRAY = Path(__file__).parent / "tray"
KINDS = 'BatchKind: TypeAlias = Literal["slurm"'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package that knows one batch system more."""
    folder = tmp_path / "package"
    shutil.copytree(Path(stemdask.__file__).parent, folder / "stemdask", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TRAY / "tray.py", folder / "stemdask/engine/queues")  # the file
    clusters = folder / "stemdask/config/clusters.py"
    text = clusters.read_text()
    assert text.count(KINDS) == 1
    clusters.write_text(text.replace(KINDS, f'{KINDS}, "tray"'))  # and the line
    return folder


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Return a folder with the commands of the toy batch system."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("tsub", "tstat", "tdel"):
        shutil.copy(TRAY / name, folder)
        (folder / name).chmod(0o755)
    return folder


def _said(folder: Path) -> str:
    return "\n".join(f"{path.name}:\n{path.read_text()}" for path in sorted(folder.rglob("*log")) if path.is_file())


def test_one_file_and_one_line_make_a_batch_system_that_runs_the_driver_and_its_workers(
    tmp_path: Path, package: Path, commands: Path
) -> None:
    frames = toy.write_frames(tmp_path / "frames.npy", 24)
    cluster = {"kind": "tray", "workers": 2, "interface": "lo", "memory": "1200 MiB", "poll_seconds": 0.5}
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(toy.config(frames, tmp_path / "toy.zarr", cluster)))
    environment = os.environ | {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(package), os.environ["PYTHONPATH"]]),
    }
    submitted = subprocess.run(
        [sys.executable, "-m", "stemdask", "submit", config.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert submitted.returncode == 0, submitted.stderr
    assert "job tray-1;" in submitted.stdout
    driver = commands / "spool/tray-1"
    toy.wait_until((driver / "code").exists)
    run_directory = tmp_path / "toy.stemdask"
    assert (driver / "code").read_text().strip() == "0", _said(run_directory)
    assert "complete: 24 ok" in (run_directory / "driver-tray-1.log").read_text()
    workers = [path.read_text() for path in commands.glob("spool/*/script") if path.parent != driver]
    assert len(workers) == 2
    assert all("#PBS -l walltime=3600s\n" in text for text in workers), "an hour, in the words of this queue"
    listed = subprocess.run([commands / "tstat"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[2] for line in listed if "baking" in line] == [], "no job is left"
    alone = execute(Document(toy.config(frames, tmp_path / "alone.zarr")))
    assert toy.contents(tmp_path / "toy.zarr") == toy.contents(alone.store)
