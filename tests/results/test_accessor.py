"""``tree.stemdask.plot``: every figure of a run by name, and words for those that aren't there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from drawn import legend

import stemdask as sd
from stemdask.analyses import registry
from stemdask.errors import StoreError
from stemdask.model import Kind
from stemdask.results import shows

#: Names that a notebook may hold.
OF_IMAGES = {"columns", "displacement", "distribution", "denoising", "scree", "components", "domains", "drift"}
OF_ATOMS = {"rdf", "finite_rdf", "order", "structure", "structure_types", "coordination", "strain", "profiles"}
OF_ATOMS |= {"motion", "shaking", "structure_in_time", "clusters", "depth"}


def plots_of(kind: Kind, names: Iterable[str]) -> set[str]:
    analyses = (registry.get(kind, name) for name in names)
    return {name for analysis in analyses if (s := shows.shown_by(analysis)) for name in s.plots}


def test_every_figure_of_every_analysis_is_offered(every_image_analysis: Path, every_atoms_analysis: Path) -> None:
    stores: tuple[tuple[Kind, Path, set[str]], ...] = (
        ("images", every_image_analysis, OF_IMAGES),
        ("atoms", every_atoms_analysis, OF_ATOMS),
    )
    for kind, store, known in stores:
        results = sd.open_results(store).stemdask
        plots = plots_of(kind, [step.name for step in results.steps])
        assert set(dir(results.plot)) == plots
        assert plots >= known


@pytest.mark.parametrize("half", ["images", "atoms"])
def test_each_figure_is_drawn_from_its_name_alone(half: str, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue({"images": "every_image_analysis", "atoms": "every_atoms_analysis"}[half])
    plot = sd.open_results(store).stemdask.plot
    missing = {
        "evidence",
        "confusion",
        "fit_residual",
    }  # hang on how domains are found, and on which pixels were fitted
    for name in sorted(set(dir(plot)) - missing):
        assert getattr(plot, name)().axes


def test_a_frame_is_chosen_by_its_number(every_atoms_analysis: Path) -> None:
    tree = sd.open_results(every_atoms_analysis)
    for name, options in (("rdf", {}), ("structure", {"by": "n_neighbors"}), ("coordination", {})):
        shown = getattr(tree.stemdask.plot, name)
        assert shown(2, **options).axes
        assert shown(frame=2, **options).axes
    drawn = tree.stemdask.plot.rdf(frame=2).axes[0].lines[0].get_ydata()
    assert (drawn == tree["rdf/g"][2].values).all()


def test_atoms_are_coloured_by_any_property_and_a_misspelt_one_is_answered(every_atoms_analysis: Path) -> None:
    tree = sd.open_results(every_atoms_analysis)
    colours = tree.stemdask.plot.structure(by="depth").axes[0].collections[0].get_array()
    assert sorted(colours) == sorted(tree["atoms/depth"][0].dropna("atom").values)
    with pytest.raises(StoreError, match=r"no 'dept'[\s\S]*depth"):
        tree.stemdask.plot.structure(by="dept")


def test_an_ideal_particle_may_be_given_to_a_figure(every_atoms_analysis: Path, ideal_particle: Path) -> None:
    plot, ideal = sd.open_results(every_atoms_analysis).stemdask.plot, sd.open_results(ideal_particle)
    assert len(plot.rdf(ideal=ideal).axes) == 2
    assert legend(plot.coordination(frame=1, ideal=ideal).axes[0])[1].startswith("ideal particle")


def test_a_figure_of_what_did_not_run_is_refused_in_words(ideal_particle: Path) -> None:
    plot = sd.open_results(ideal_particle).stemdask.plot
    with pytest.raises(StoreError, match="no results of 'finite_rdf', which 'finite_rdf' draws"):
        plot.finite_rdf()
    with pytest.raises(StoreError, match="'lattice_fit', which 'strain' draws"):
        plot.strain()


def test_a_misspelt_figure_lists_those_that_there_are(ideal_particle: Path) -> None:
    plot = sd.open_results(ideal_particle).stemdask.plot
    with pytest.raises(
        AttributeError, match="no figure is called 'coordinaton'; available: coordination, coordination_of_frames"
    ):
        plot.coordinaton  # noqa: B018
    assert not hasattr(plot, "_repr_html_")


@pytest.mark.processes
@pytest.mark.parametrize("module", ["stemdask.results.reader", "stemdask.results.shows", "stemdask.analyses.registry"])
def test_results_are_read_without_matplotlib(module: str) -> None:
    script = f"import sys, {module}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.processes
def test_a_store_is_opened_without_matplotlib(ideal_particle: Path) -> None:
    script = (
        "import sys, stemdask\n"
        f"tree = stemdask.open_results({str(ideal_particle)!r})\n"
        "assert len(tree.stemdask.table('atoms')) > 100\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_atom_is_followed_by_its_track(every_atoms_analysis: Path) -> None:
    tree = sd.open_results(every_atoms_analysis)
    number = int(tree["tracks/n_frames"].values.argmin())
    atom = tree.stemdask.track(number)
    assert atom.sizes["frame"] == int(tree["tracks/n_frames"][number])
    assert (atom["track"] == number).all()
    assert atom["x"].mean() == pytest.approx(float(atom["x"][0]), abs=1)
    assert int(atom["frame"][-1]) == int(tree["tracks/last_frame"][number])
    with pytest.raises(StoreError, match="no atom has this track number"):
        tree.stemdask.track(10_000)
