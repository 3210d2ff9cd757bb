"""Bond order beside freud, pyscal3 and ovito, where they are installed."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.atoms.bond_order import bond_order
from stemdask.kernels.atoms.bonds import bonds
from stemdask.kernels.atoms.crystallinity import Criterion
from stemdask.kernels.atoms.neighbour_rules import voronoi
from stemdask.kernels.atoms.neighbours import find_neighbours

pytestmark = pytest.mark.claims

CUTOFF = 3.4


@pytest.fixture(scope="module")
def particle():
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    positions = (grid + basis).reshape(-1, 3) * 3.92
    return positions + np.random.default_rng(0).normal(0, 0.15, positions.shape)


@pytest.mark.parametrize("averaged", [False, True])
def test_freud_finds_the_same_to_single_precision(particle, averaged):
    freud = pytest.importorskip("freud")
    box = freud.box.Box.cube(100.0)
    neighbours = freud.locality.AABBQuery(box, particle).query(particle, {"r_max": CUTOFF, "exclude_ii": True})
    theirs = freud.order.Steinhardt([4, 6, 8], average=averaged, wl=True)
    theirs.compute((box, particle), neighbors=neighbours.toNeighborList())
    ours = bond_order(find_neighbours(particle, CUTOFF), (4, 6, 8))
    np.testing.assert_allclose(ours.q_avg if averaged else ours.q, theirs.ql.T, atol=1e-5)
    np.testing.assert_allclose(ours.w_avg if averaged else ours.w, theirs.particle_order.T, atol=1e-5)


def test_freud_weighs_voronoi_faces_alike():
    freud = pytest.importorskip("freud")
    positions = np.random.default_rng(2).uniform(-5, 5, (300, 3))
    diagram = freud.locality.Voronoi().compute((freud.box.Box.cube(10.0), positions))
    theirs = freud.order.Steinhardt([4, 6], weighted=True)
    theirs.compute((freud.box.Box.cube(10.0), positions), neighbors=diagram.nlist)
    ours = bond_order(voronoi(positions, 10 * np.eye(3)))
    np.testing.assert_allclose(ours.q, theirs.particle_order.T, atol=1e-5)


def test_pyscal3_averages_and_judges_the_same_to_double_precision(particle):
    pyscal3 = pytest.importorskip("pyscal3")
    from ase import Atoms

    atoms = Atoms("Pt" * len(particle), particle, cell=np.ptp(particle, axis=0) + 20, pbc=False)
    pyscal3.find_neighbors(atoms, method="cutoff", cutoff=CUTOFF)
    neighbours = find_neighbours(particle, CUTOFF)
    for normalisation in ("none", "steinhardt"):
        ours = bond_order(neighbours, (4, 6, 8), normalisation=normalisation)
        for averaged, q, w in ((False, ours.q, ours.w), (True, ours.q_avg, ours.w_avg)):
            np.testing.assert_allclose(q, pyscal3.steinhardt_parameter(atoms, [4, 6, 8], averaged), atol=1e-12)
            theirs = pyscal3.wigner_w_parameter(atoms, [4, 6, 8], averaged, normalisation == "steinhardt")
            np.testing.assert_allclose(w, theirs, atol=1e-12)
    pyscal3.find_solids(atoms, bonds=0.5, threshold=0.8, avgthreshold=-1.0, cluster=False)
    np.testing.assert_array_equal(ours.crystalline, np.asarray(atoms.arrays["pyscal_solid"]).astype(int))
    s6 = np.concatenate(list(atoms.info["pyscal_sij"]))
    ten_wolde = bond_order(neighbours, criterion=Criterion(0.5, min_bonds=7, min_mean=0.6))
    pyscal3.find_solids(atoms, bonds=6, threshold=0.5, avgthreshold=0.6, cluster=False)  # more than six
    np.testing.assert_array_equal(ten_wolde.crystalline, np.asarray(atoms.arrays["pyscal_solid"]).astype(int))
    np.testing.assert_allclose(np.sort(ours.s6), np.sort(s6), atol=1e-12)
    assert len(bonds(neighbours).entry) == len(s6) / 2


def test_ovito_finds_the_same_order_and_counts_the_same_pairs(particle):
    pytest.importorskip("ovito")
    from ovito.data import DataCollection, SimulationCell
    from ovito.modifiers import SteinhardtParametersModifier

    data = DataCollection()
    cell = SimulationCell(pbc=(False, False, False))
    cell[...] = np.column_stack([100 * np.eye(3), np.full(3, -50)])
    data.objects.append(cell)
    data.create_particles(count=len(particle)).create_property("Position", data=particle)
    mode = SteinhardtParametersModifier.NeighborMode.Cutoff
    data.apply(SteinhardtParametersModifier(neighbor_mode=mode, cutoff=CUTOFF, max_l=6, compute_averaged=True))
    ours = bond_order(find_neighbours(particle, CUTOFF), (2, 3, 4, 5, 6))
    np.testing.assert_allclose(ours.q.T, data.particles["Steinhardt"][...], atol=1e-12)
    np.testing.assert_allclose(ours.q_avg.T, data.particles["Smooth Steinhardt"][...], atol=1e-12)
