"""A run of any single analysis of atoms ends well, with its report: no part needs what another analysis finds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ase.cluster import Octahedron
from ase.io import write
from typer.testing import CliRunner

from stemdask.analyses import registry
from stemdask.cli.main import app

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    particle = Octahedron("Pt", 6, 1)
    path = tmp_path_factory.mktemp("particle") / "particle.xyz"
    write(path, [particle, particle[:-5]], format="xyz")
    return path


#: Every run looks for the analyses that it doesn't have; of those that build on others, some are tried each time.
QUICK = ("phases", "structure", "uncertainty")


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in registry.names("atoms")],
)
def test_the_run_ends_well_and_writes_its_report(name: str, trajectory: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    data = {"input": {"path": str(trajectory)}, "output": str(tmp_path / "out.zarr"), "analyses": {name: {}}}
    config.write_text(yaml.safe_dump(data | {"cluster": {"kind": "inline"}, "limits": {"isolate": False}}))
    outcome = CliRunner().invoke(app, ["run", str(config)])
    assert outcome.exit_code == 0, outcome.output
    assert (tmp_path / "out.stemdask" / "report.html").stat().st_size > 10_000
