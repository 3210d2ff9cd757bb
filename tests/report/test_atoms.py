"""The report of structures: each part where its analysis ran, numbers with their errors, and an ideal one beside."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from stemdask import report, simulate
from stemdask.analyses import registry
from stemdask.engine import run as engine
from stemdask.errors import StoreError
from stemdask.model import AtomsFrame
from stemdask.report import atoms
from stemdask.results import reader

SLOW = {"uncertainty": {"n_samples": 2, "coordinate_error": "0.05 angstrom"}}


def write(path: Path, frames: list[AtomsFrame]) -> Path:
    with path.open("w") as handle:
        for frame in frames:
            handle.write(f"{len(frame.positions)}\n\n")
            handle.writelines(f"Pt {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in frame.positions)
    return path


def run(path: Path, store: Path, analyses: dict[str, dict] | None = None) -> Path:
    config = {"input": {"path": str(path)}, "output": str(store), "cluster": {"kind": "inline"}}
    config["limits"] = {"isolate": False}  # no helper process, which takes seconds to start
    return engine.run(config | ({"analyses": analyses} if analyses else {}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    particle = simulate.nanocrystal(16.0)
    trajectory = simulate.trajectory(particle, 3, sigma=0.05, rotation=2.0, seed=1)
    moving = write(folder / "moving.xyz", [trajectory.read(index) for index in range(3)])
    everything = {name: SLOW.get(name, {}) for name in registry.names("atoms")}
    run(moving, folder / "everything.zarr", everything)
    run(moving, folder / "usual.zarr")
    run(write(folder / "ideal.xyz", [particle]), folder / "ideal.zarr")
    return folder


def parts(store: Path, ideal: Path | None = None) -> dict[str, atoms.Part]:
    beside = None if ideal is None else reader.open_results(ideal)
    return {part.title: part for part in atoms.parts(reader.open_results(store), 0, beside)}


def test_every_analysis_has_its_part(folder: Path) -> None:
    assert list(parts(folder / "everything.zarr")) == [
        "Structure of frame 0",
        "Pair distribution without the surface",
        "Structure types",
        "Strain",
        "Profiles",
        "Frame after frame",
        "Atoms in time",
    ]


def test_what_did_not_run_is_left_out(folder: Path) -> None:
    found = parts(folder / "usual.zarr")
    assert list(found) == ["Structure of frame 0", "Frame after frame"]
    assert len(found["Frame after frame"].figures) == 1
    assert not found["Structure of frame 0"].sentences


def test_a_single_frame_has_no_course_in_time(folder: Path) -> None:
    assert list(parts(folder / "ideal.zarr")) == ["Structure of frame 0"]


def test_numbers_carry_the_error_that_was_found_for_them(folder: Path) -> None:
    tree = reader.open_results(folder / "everything.zarr")
    rows = dict(parts(folder / "everything.zarr")["Structure of frame 0"].rows)
    value, error = re.match(r"([\d.]+) ± ([\d.]+)", rows["diameter of a sphere as large as the convex hull"]).groups()
    expected = float(tree["uncertainty/diameter"][0])
    assert float(error) == pytest.approx(expected, rel=0.05)
    assert float(value) == pytest.approx(float(tree["particle/diameter"][0]), abs=0.1 * expected)
    assert "±" in rows["lattice parameter"]
    assert "±" not in rows["atoms at the surface"]


def test_an_ideal_particle_stands_beside_the_structure(folder: Path) -> None:
    alone = parts(folder / "usual.zarr")["Structure of frame 0"].figures
    beside = parts(folder / "usual.zarr", folder / "ideal.zarr")["Structure of frame 0"].figures
    assert len(alone[0][0].axes) == 1
    ideal = reader.open_results(folder / "ideal.zarr")
    np.testing.assert_array_equal(beside[0][0].axes[1].lines[0].get_ydata(), ideal["rdf/g"][0])
    labels = [text.get_text() for text in beside[-1][0].axes[0].get_legend().get_texts()]
    assert labels[1] == f"ideal particle, {int(ideal['frames/n_atoms'][0])} atoms"


def test_failed_frames_are_gaps_in_time(folder: Path) -> None:
    tree = reader.open_results(folder / "usual.zarr").load().copy(deep=True)
    tree["frames/frame_status"].values[1] = 2
    (part,) = (part for part in atoms.parts(tree, 0) if part.title == "Frame after frame")
    drawn = part.figures[0][0].axes[0].lines[0].get_ydata()
    assert np.isnan(drawn).tolist() == [False, True, False]


def test_a_lone_atom_is_reported(tmp_path: Path) -> None:
    lone = simulate.nanocrystal(16.0)
    path = write(tmp_path / "lone.xyz", [AtomsFrame(0, lone.positions[:1], lone.numbers[:1])])
    store = run(path, tmp_path / "lone.zarr", {name: SLOW.get(name, {}) for name in registry.names("atoms")})
    assert "Structure of frame 0" in report.write(store).read_text()


def test_names_from_outside_are_text_and_no_html(folder: Path, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.xyz"
    source = write(tmp_path / name, [simulate.nanocrystal(14.0)])
    page = report.write(run(source, tmp_path / "<b>bold.zarr", {"shape": {}})).read_text()
    assert "<b>" not in page
    assert "onerror=alert(1)>" not in page
    assert "&lt;b&gt;bold.zarr" in page


def test_an_ideal_particle_must_be_a_store_of_structures(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        report.write(folder / "usual.zarr", tmp_path / "r.html", ideal=tmp_path / "nothing.zarr")
    assert not (tmp_path / "r.html").exists()


def test_the_figures_of_a_notebook_are_those_of_the_report(folder: Path) -> None:
    plot = reader.open_results(folder / "everything.zarr").stemdask.plot
    for name in ("rdf", "finite_rdf", "order", "structure", "structure_types", "coordination", "strain", "profiles"):
        assert getattr(plot, name)(1).axes
    assert plot.motion().axes
    assert plot.shaking().axes
    with pytest.raises(StoreError, match="g_finite"):
        reader.open_results(folder / "usual.zarr").stemdask.plot.finite_rdf()
