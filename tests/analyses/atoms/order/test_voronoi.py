import numpy as np
import pytest
from crystals import CELLS, particle

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps


def analysed(positions, numbers, **params):
    frame = AtomsFrame(0, positions, numbers)
    chosen, problems = steps(Document({"analyses": {"voronoi": params}}), "atoms")
    assert problems == []
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    return chain.analyse("atoms", chosen, frame)


@pytest.mark.parametrize("name", ["Pt", "Fe", "Co"])
def test_atoms_inside_a_rough_particle_have_the_volume_of_the_crystal(name):
    found = analysed(*particle(name, 14.0, 0.15))
    crystal = CELLS[name]
    mean, error = found["voronoi/mean_volume"], found["voronoi/mean_volume_err"]
    assert mean == pytest.approx(crystal.get_volume() / len(crystal), rel=0.02)
    assert 0 < error < 0.01 * mean


def test_all_cells_at_the_surface_are_open_and_have_nothing():
    found = analysed(*particle("Pt", 14.0, 0.1))
    is_open = found["atoms/voronoi_open"] == 1
    assert is_open[found["atoms/surface"] == 1].all()
    assert not is_open[found["atoms/surface"] == 0].any()
    assert found["voronoi/n_open"] == is_open.sum()
    assert np.isnan(found["atoms/voronoi_volume"][is_open]).all()
    for name in ("faces", "n3", "n4", "n5", "n6"):
        assert (found[f"atoms/voronoi_{name}"][is_open] == -1).all()


def test_a_hole_of_no_size_leaves_no_cell_closed():
    found = analysed(*particle("Pt"), largest_hole="1 angstrom")
    assert np.isnan(found["voronoi/mean_volume"])
    assert np.isnan(found["voronoi/mean_volume_err"])


@pytest.mark.golden
def test_the_core_of_a_reconstructed_particle_has_no_cell_that_reaches_outside(reference):
    from ase.io import read

    atoms = read(reference / "data" / "stage1_docked_ATMS.pdb")
    volume = analysed(atoms.positions, atoms.numbers.astype(np.uint8))["atoms/voronoi_volume"]
    assert np.isfinite(volume).sum() == 151
    assert np.nanmax(volume) < 1.2 * np.nanmedian(volume)
