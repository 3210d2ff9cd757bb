"""What candidates are checked against in a structure: parts of it, and twins whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import stores
import yaml
from typer.testing import CliRunner

from stemdask import simulate
from stemdask.analyses.evaluation import FrameResult
from stemdask.cli.main import app
from stemdask.model import AtomsFrame, FrameStatus
from stemdask.tuning import atoms


@pytest.fixture(scope="module")
def particle() -> AtomsFrame:
    return simulate.trajectory(simulate.nanocrystal(24.0), 1, sigma=0.08, seed=2).read(0)


def test_atoms_of_a_part_are_compared_far_from_the_cut(particle: AtomsFrame) -> None:
    axis = int(np.argmax(np.ptp(particle.positions, axis=0)))
    for part, compared in atoms.parts(particle):
        assert len(part.positions) == len(compared) < len(particle.positions)
        kept = compared >= 0
        np.testing.assert_array_equal(part.positions[kept], particle.positions[compared[kept]])
        near, far = part.positions[~kept, axis], part.positions[kept, axis]
        assert kept.any()
        assert far.max() < near.min() or far.min() > near.max()


def test_twins_have_the_size_the_distance_and_the_motion_of_the_structure(particle: AtomsFrame) -> None:
    twins = list(atoms.twins(particle))
    assert len(twins) == 4
    for twin in twins:
        assert len(twin.frame.positions) == pytest.approx(len(particle.positions), rel=0.15)
        assert twin.crystalline.mean() == pytest.approx(0.5, abs=0.01)
    assert atoms.twins.__doc__
    box = AtomsFrame(0, particle.positions, particle.numbers, 30.0 * np.eye(3), (True, True, True))
    assert list(atoms.twins(box)) == list(atoms.parts(box)) == []


def test_errors_count_atoms_of_twins_taken_wrongly_each_kind_for_itself(particle: AtomsFrame) -> None:
    given = atoms.standards(particle, {})

    def result(crystalline: np.ndarray) -> FrameResult:
        n = len(crystalline)
        first = np.arange(n - 1)
        values = {"atoms/crystalline": crystalline.astype(np.int8), "bonds/atom_1": first, "bonds/atom_2": first + 1}
        return FrameResult(FrameStatus.OK, values=values | {"atoms/n_neighbors": np.full(n, 12)})

    whole = result(np.ones(len(particle.positions), bool))
    parts = [result(np.ones(len(compared), bool)) for compared in given.compared]
    told = [twin.crystalline if twin.moved == atoms._LITTLE else ~twin.crystalline for twin in given.twins]
    found = atoms.measured(whole, given, [*parts, *map(result, told)])
    assert found["error_little"] == 0.0
    assert found["error_much"] == 100.0
    assert found["shift"] == 0.0
    assert found["agreement"] == 0.0


@pytest.mark.long
@pytest.mark.processes
def test_a_threshold_that_takes_everything_for_crystalline_is_given_up(
    particle: AtomsFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stores.write_particles(tmp_path / "a.xyz", [particle])
    (tmp_path / "run.yaml").write_text(
        "input: {path: a.xyz}\noutput: a.zarr\nanalyses: {bond_order: {threshold: -0.5, min_fraction: 0.1}}\n"
    )
    done = CliRunner().invoke(app, ["tune", "run.yaml", "-o", "tuned.yaml", "-q"])
    assert done.exit_code == 0, done.output
    assert 0.5 <= yaml.safe_load((tmp_path / "tuned.yaml").read_text())["analyses"]["bond_order"]["threshold"] <= 0.9
    assert "error (moved little)" in (tmp_path / "tuned.html").read_text()
