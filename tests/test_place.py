"""What comes with the project for a place of its own: pinned versions, an image, steps of workflows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement

from stemdask.results import reader

ROOT = Path(__file__).parents[1]
JOBS = ROOT / "jobs"
SAMPLES = ("a", "b")


def _pinned() -> dict[str, str]:
    found = {}
    for line in (JOBS / "requirements.lock").read_text().splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            pin = Requirement(line.rstrip(" \\"))
            if pin.marker is None or pin.marker.evaluate({**default_environment(), "python_full_version": "3.12.0"}):
                (version,) = pin.specifier
                found[pin.name.lower()] = version.version
    return found


def test_every_dependency_is_pinned_to_a_version_that_is_allowed() -> None:
    wanted = [
        Requirement(line) for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    ]
    pinned = _pinned()
    assert [one.name for one in wanted if one.name.lower() not in pinned] == []
    assert [str(one) for one in wanted if not one.specifier.contains(pinned[one.name.lower()])] == []


def test_the_image_is_made_of_files_that_are_there_and_of_hashed_versions() -> None:
    text = (JOBS / "stemdask.def").read_text()
    files = text.partition("%files\n")[2].partition("\n\n")[0]
    named = [word for line in files.splitlines() for word in line.split()[:-1]]
    assert len(named) >= 5
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert "--require-hashes" in text
    locked = (JOBS / "requirements.lock").read_text()
    assert locked.count("==") <= locked.count("--hash=sha256:")


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Write two trajectories of eight atoms and a config for both."""
    (tmp_path / "frames").mkdir()
    cube = 2.8 * np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    for seed, name in enumerate(SAMPLES):
        frames = cube + np.random.default_rng(seed).normal(0, 0.05, (4, 8, 3))
        with (tmp_path / f"frames/{name}.xyz").open("w") as file:
            for frame in frames:
                file.write("8\n\n" + "".join(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in frame))
    config = {"input": {"path": "given later"}, "output": "given later", "analyses": {"coordination": {}}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config | {"block_frames": 1}))
    return tmp_path


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.processes
@pytest.mark.slow
def test_the_rule_of_snakemake_analyses_every_file_and_nothing_twice(samples: Path) -> None:
    if shutil.which("snakemake") is None:
        pytest.skip("snakemake is not installed")
    command = ["snakemake", "--cores", "2", "-s", str(JOBS / "workflows/Snakefile"), "--config", "suffix=xyz"]
    _run(samples, *command)
    for name in SAMPLES:
        assert reader.open_results(samples / f"results/{name}.zarr").attrs["state"] == "complete"
        assert (samples / f"results/{name}.html").stat().st_size > 10_000
    before = (samples / "results/a.html").stat().st_mtime
    _run(samples, *command)
    assert (samples / "results/a.html").stat().st_mtime == before


@pytest.mark.processes
@pytest.mark.slow
def test_the_script_of_the_process_of_nextflow_analyses_a_file(samples: Path) -> None:
    """As bash gets it; Nextflow itself is not among the packages of any registry that these tests use."""
    text = (JOBS / "workflows/stemdask.nf").read_text()
    (script,) = re.findall(r'script:\n    """\n(.*?)"""', text, re.DOTALL)
    values = {"config": "run.yaml", "frames": "frames/a.xyz", "frames.baseName": "a", "results": "r", "task.cpus": "1"}
    (samples / "r").mkdir()
    _run(samples, "bash", "-ue", "-c", _groovy(script, values))
    assert reader.open_results(samples / "r/a.zarr").attrs["state"] == "complete"
    assert (samples / "a.html").exists()


def _groovy(text: str, values: Mapping[str, str]) -> str:
    """Fill in a string of Groovy: ${name}, and what a backslash keeps."""
    filled = re.sub(r"(?<!\\)\$\{([\w.]+)\}", lambda name: values[name[1]], text)
    return re.sub(r"\\([\\$])", r"\1", filled)
