"""The results of a run as figures read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemdask.analyses import registry
from stemdask.analyses.atoms.order import rdf
from stemdask.analyses.atoms.shape import shape, surface
from stemdask.analyses.images.columns import columns
from stemdask.errors import StoreError
from stemdask.results import reader, shows
from stemdask.results.views import Results


@pytest.fixture
def atoms(every_atoms_analysis: Path) -> Results:
    return Results(reader.open_results(every_atoms_analysis).load().copy(deep=True))


def test_the_half_is_read_from_the_store_and_never_guessed(every_image_analysis: Path, atoms: Results) -> None:
    tree = reader.open_results(every_image_analysis).load().copy(deep=True)
    assert Results(tree).kind == "images"
    assert atoms.kind == "atoms"
    for wrong in ("plants", None):
        tree.attrs["kind"] = wrong
        with pytest.raises(StoreError, match=r"doesn't say whether it holds images or atoms[\s\S]*--fresh"):
            _ = Results(tree).kind


def test_steps_are_those_of_the_run_in_their_order(atoms: Results) -> None:
    assert [step.name for step in atoms.steps] == registry.names("atoms")
    assert atoms.params("columns") is None
    assert isinstance(atoms.params("rdf"), rdf.RdfParams)


def test_an_analysis_that_this_version_does_not_know_is_named(atoms: Results) -> None:
    tree = atoms._tree
    tree.attrs["config"] = "analyses: {alchemy: {}}"
    with pytest.raises(StoreError, match="alchemy"):
        _ = Results(tree).steps


def test_declared_variables_are_those_of_the_store(atoms: Results) -> None:
    declared = [variable for step in atoms.steps for variable in atoms.declared(step.name)]
    assert len(declared) > 60
    assert [variable.path for variable in declared if variable not in atoms] == []  # coordinates too
    assert columns.Y not in atoms


def test_frames_without_results_are_no_numbers(atoms: Results) -> None:
    atoms._tree["frames/frame_status"].values[1] = 2
    assert atoms.good().tolist() == [0, 2]
    assert np.isnan(atoms.by_frame(shape.DIAMETER)).values.tolist() == [False, True, False]
    assert atoms.by_frame(shape.DIAMETER).attrs["units"] == "angstrom"


def test_what_the_run_has_not_is_refused_with_what_it_has(ideal_particle: Path) -> None:
    results = Results(reader.open_results(ideal_particle))
    with pytest.raises(StoreError, match=r"no results in 'columns'[\s\S]*atoms"):
        results.at("columns", 0)
    with pytest.raises(StoreError, match=r"no 'depth' in 'atoms'[\s\S]*q6_avg"):
        results.read(surface.DEPTH)
    assert results.attributes("columns") == {}


def test_a_group_of_one_frame_holds_that_frame(atoms: Results) -> None:
    one = atoms.at("rdf", 2)
    assert "frame" not in one.dims
    np.testing.assert_array_equal(one["g"], atoms.read(rdf.G)[2])
    np.testing.assert_array_equal(atoms.read(rdf.G, 2), one["g"])


def test_images_are_read_again_where_the_input_is(every_image_analysis: Path, atoms: Results, tmp_path: Path) -> None:
    tree = reader.open_results(every_image_analysis).load().copy(deep=True)
    pixels = np.load(every_image_analysis.parent / "stack.npy")
    image = Results(tree).needed_image(2)
    np.testing.assert_array_equal(image.pixels, pixels[2])
    assert image.pixel_size == pytest.approx((0.0297, 0.0297))
    tree.attrs["config"] = tree.attrs["config"].replace("stack.npy", "gone.npy")
    assert Results(tree).image(2) is None
    with pytest.raises(StoreError, match="can't be read on this machine"):
        Results(tree).needed_image(2)
    assert atoms.image(0) is None


def test_every_analysis_shows_something() -> None:
    for analysis in registry.every():
        if analysis.name != "toy":
            assert shows.shown_by(analysis) is not None, analysis.name


def test_no_two_analyses_of_a_half_give_a_figure_one_name() -> None:
    for kind in ("images", "atoms"):
        names = [name for a in registry.of_kind(kind) if (s := shows.shown_by(a)) for name in s.plots]
        assert len(names) == len(set(names))
