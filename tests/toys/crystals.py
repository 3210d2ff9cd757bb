"""Round particles and boxes of the crystals that structures are told from."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk

from stemdask.kernels.atoms.grains import find_grains
from stemdask.kernels.atoms.kinds import FCC, HCP
from stemdask.kernels.atoms.lattice_fit import LatticeFit, fit_lattice
from stemdask.kernels.atoms.lattices import LATTICES
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.quaternions import rotation_of
from stemdask.kernels.atoms.template_match import REACH, match_templates

_FOUR = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]

CELLS = {
    "Pt": bulk("Pt", "fcc", a=3.92, cubic=True),
    "Co": bulk("Co", "hcp", a=2.507, c=4.069),
    "Fe": bulk("Fe", "bcc", a=2.87, cubic=True),
    "Po": bulk("Po", "sc", a=3.35),
    "Si": bulk("Si", "diamond", a=5.43, cubic=True),
    "CdSe": bulk("CdSe", "zincblende", a=6.05, cubic=True),
    "wurtzite": bulk("CdSe", "wurtzite", a=4.3, c=7.01),
    "CeO2": bulk("CeO2", "fluorite", a=5.41, cubic=True),
    "NaCl": bulk("NaCl", "rocksalt", a=5.64, cubic=True),
    "NiAl": bulk("NiAl", "cesiumchloride", a=2.88),
    "FePt": Atoms("Fe2Pt2", scaled_positions=_FOUR, cell=[3.85, 3.85, 3.71], pbc=True),
    "Cu3Au": Atoms("AuCu3", scaled_positions=_FOUR, cell=[3.75] * 3, pbc=True),
}


def particle(name: str, radius: float = 14.0, sigma: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and atomic numbers of a round particle with thermal noise, around no atom."""
    cell = CELLS[name]
    repeats = int(np.ceil(2.6 * radius / cell.cell.lengths().min())) + 2
    crystal = cell.repeat(repeats)
    sites = crystal.positions - crystal.positions.mean(axis=0) + np.array([0.1, 0.2, 0.3])
    inside = np.linalg.norm(sites, axis=1) < radius
    noise = np.random.default_rng(seed).normal(scale=sigma, size=(inside.sum(), 3))
    return sites[inside] + noise, crystal.numbers[inside].astype(np.uint8)


def inner(positions: np.ndarray, depth: float = 5.6) -> np.ndarray:
    """Tell which atoms of a round particle lie deeper below its surface."""
    radius = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    return radius < radius.max() - depth


def fitted(
    positions: np.ndarray, distance: float, kind: int = FCC, cell: np.ndarray | None = None
) -> LatticeFit | None:
    """Fit a lattice to the largest grain of a kind, told by the templates of its atoms."""
    match = match_templates(find_neighbours(positions, REACH * distance, cell), 0.2)
    near = find_neighbours(positions, 1.22 * distance, cell)
    twins = (match.kind == HCP) & (kind != HCP)
    grains = find_grains(match, near, twins)
    if not len(grains.size):
        return None
    rotation = np.empty((3, 3))
    rotation_of(grains.quaternion[0], rotation)
    inside = (grains.label == 0) & (match.kind == kind)
    return fit_lattice(positions, near, inside, LATTICES[kind], rotation, distance)
