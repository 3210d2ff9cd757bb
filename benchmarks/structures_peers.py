"""Each quantity of structures of atoms beside a value that geometry gives and one that another program finds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "toys"))
from crystals import CELLS
from structures_run import analysed

from stemdask.kernels.atoms import kinds
from stemdask.kernels.atoms.alpha_shape import alpha_shape
from stemdask.kernels.atoms.bond_angles import bond_angle_counts
from stemdask.kernels.atoms.bond_order import bond_order
from stemdask.kernels.atoms.centrosymmetry import centrosymmetry
from stemdask.kernels.atoms.debye import debye_intensity, structure_factor
from stemdask.kernels.atoms.facets import nearest_plane, planes, wulff_areas
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.rdf import bin_edges, pair_counts
from stemdask.kernels.atoms.short_range_order import short_range_order
from stemdask.kernels.atoms.voronoi_cells import voronoi_cells
from stemdask.simulate import nanocrystal

#: Structure types of OVITO's modifiers by number, as ours; the second for diamond alone, with its neighbours' shells.
_PTM = {1: kinds.FCC, 2: kinds.HCP, 3: kinds.BCC, 4: kinds.ICOSAHEDRAL, 5: kinds.SIMPLE_CUBIC}
_PTM |= {6: kinds.CUBIC_DIAMOND, 7: kinds.HEXAGONAL_DIAMOND}
_CNA = {1: kinds.FCC, 2: kinds.HCP, 3: kinds.BCC, 4: kinds.ICOSAHEDRAL}
_DIAMOND = dict.fromkeys((1, 2, 3), kinds.CUBIC_DIAMOND) | dict.fromkeys((4, 5, 6), kinds.HEXAGONAL_DIAMOND)
#: What a value that rounding alone moves may differ by.
ROUNDING = 1e-9


def _data(positions: np.ndarray) -> Any:
    from ovito.data import DataCollection

    data = DataCollection()
    data.create_particles(count=len(positions)).create_property("Position", data=positions)
    return data


def ovito_kinds(positions: np.ndarray, method: str) -> np.ndarray:
    """Return the structure types that OVITO finds: by template (`ptm`), or by common neighbours, diamond included."""
    from ovito.modifiers import (
        CommonNeighborAnalysisModifier,
        IdentifyDiamondModifier,
        PolyhedralTemplateMatchingModifier,
    )

    if method == "ptm":
        modifier = PolyhedralTemplateMatchingModifier(rmsd_cutoff=0.12)
        for structure in modifier.structures:
            structure.enabled = structure.id != PolyhedralTemplateMatchingModifier.Type.GRAPHENE
        return _types(_data(positions), modifier, _PTM)
    mode = CommonNeighborAnalysisModifier.Mode.AdaptiveCutoff
    diamond = _types(_data(positions), IdentifyDiamondModifier(), _DIAMOND)
    return np.where(diamond > 0, diamond, _types(_data(positions), CommonNeighborAnalysisModifier(mode=mode), _CNA))


def _types(data: Any, modifier: Any, names: dict[int, int]) -> np.ndarray:
    data.apply(modifier)
    table = np.zeros(32, int)
    table[list(names)] = list(names.values())
    return table[np.array(data.particles["Structure Type"])]


Row = tuple[str, str, float, str, float]


def _off(found: Any, true: Any) -> float:
    """Return by how much values differ at most, in units of the largest."""
    found, true = np.asarray(found, float), np.asarray(true, float)
    return float(np.abs(found - true).max() / max(np.abs(true).max(), 1e-30))


def _shaken(name: str, repeats: int, sigma: float) -> Any:
    crystal = CELLS[name].repeat(repeats)
    crystal.positions += np.random.default_rng(0).normal(scale=sigma, size=crystal.positions.shape)
    crystal.wrap()
    return crystal


def _order() -> Iterator[Row]:
    import pyscal3

    fcc = find_neighbours(CELLS["Pt"].positions, 3.3, CELLS["Pt"].cell[:])
    exact = np.repeat([[np.sqrt(7 / 192)], [np.sqrt(169 / 512)]], 4, axis=1)
    crystal = _shaken("Pt", 4, 0.15)
    pyscal3.find_neighbors(crystal, method="cutoff", cutoff=3.4)
    ours = bond_order(find_neighbours(crystal.positions, 3.4, crystal.cell[:])).q_avg
    yield (
        "bond order q̄",
        "√7/192, √169/512 of fcc",
        _off(bond_order(fcc).q, exact),
        "pyscal3",
        _off(ours, pyscal3.steinhardt_parameter(crystal, [4, 6], True)),
    )


def _voronoi() -> Iterator[Row]:
    import pyscal3
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import VoronoiAnalysisModifier

    perfect = CELLS["Fe"].repeat(4)
    cells = voronoi_cells(perfect.positions, 3.0, perfect.cell[:])
    crystal = _shaken("Pt", 5, 0.3)
    found = voronoi_cells(crystal.positions, 4.0, crystal.cell[:])
    data = ase_to_ovito(crystal)
    data.apply(VoronoiAnalysisModifier())
    theirs = data.particles["Atomic Volume"][...]
    yield "Voronoi volume", "a³/2 of bcc", _off(cells.volume, 2.87**3 / 2), "OVITO", _off(found.volume, theirs)
    pyscal3.find_neighbors(crystal, method="voronoi")
    truncated = np.tile([0, 6, 0, 8], (len(perfect), 1))
    yield (
        "Voronoi indices",
        "⟨0 6 0 8⟩ of bcc",
        _off(cells.indices, truncated),
        "pyscal3",
        _off(found.indices, pyscal3.voronoi_vector(crystal)),
    )


def _warren_cowley() -> Iterator[Row]:
    import pyscal3

    ordered = _first_shell(CELLS["Cu3Au"].repeat(4))
    crystal = CELLS["Pt"].repeat(5)
    crystal.numbers[:] = np.random.default_rng(0).choice([28, 78], len(crystal), p=[0.3, 0.7])
    pyscal3.find_neighbors(crystal, method="cutoff", cutoff=3.3)
    theirs = [pyscal3.short_range_order(crystal, one, other) for one, other in ((28, 78), (78, 28), (28, 28))]
    found = _first_shell(crystal)
    yield (
        "Warren-Cowley α",
        "-1/3 of L1₂",
        abs(ordered[0, 1] + 1 / 3),
        "pyscal3",
        _off([found[0, 1], found[1, 0], found[0, 0]], theirs),
    )


def _first_shell(crystal: Any) -> np.ndarray:
    elements, species = np.unique(crystal.numbers, return_inverse=True)
    near = find_neighbours(crystal.positions, 3.3, crystal.cell[:])
    return short_range_order(near, species, len(elements), np.array([3.3])).parameter[:, :, 0]


def _angles() -> Iterator[Row]:
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import BondAngleDistributionModifier, CreateBondsModifier

    fcc = CELLS["Pt"].repeat(3)
    near = find_neighbours(fcc.positions, 3.3, fcc.cell[:])
    perfect = bond_angle_counts(near, 0 * fcc.numbers, np.array([[3.3]]))[0]
    exact = np.zeros(181)
    exact[[60, 90, 120, 180]] = np.array([24, 12, 24, 6]) * len(fcc)
    crystal = _shaken("Pt", 6, 0.15)
    data = ase_to_ovito(crystal)
    data.apply(CreateBondsModifier(cutoff=3.3))
    data.apply(BondAngleDistributionModifier(bins=360, cosine_mode=False))
    [theirs] = [table.y[...].ravel() for table in data.tables.values()]
    near = find_neighbours(crystal.positions, 3.3, crystal.cell[:])
    ours = bond_angle_counts(near, 0 * crystal.numbers, np.array([[3.3]]))[0]
    # Theirs begin at whole and half degrees, ours lie half a degree around whole ones.
    halves = np.concatenate([[0], theirs, [0]]).reshape(-1, 2).sum(axis=1)
    yield "bond angles", "24, 12, 24, 6 of fcc", _off(perfect, exact), "OVITO", _off(ours, halves)


def _scattering() -> Iterator[Row]:
    import freud
    from ase import Atoms
    from ase.utils.xrdebye import XrDebye

    q = np.linspace(0.3, 15, 200)
    pair = debye_intensity(np.array([[0.0, 0, 0], [0, 0, 2.7]]), np.zeros(2, int), np.ones((1, 200)), q)
    exact = 2 + 2 * np.sin(2.7 * q) / (2.7 * q)
    random = np.random.default_rng(3)
    numbers, positions = random.choice([28, 78], 60), random.uniform(0, 9, (60, 3))
    theirs = XrDebye(Atoms(numbers, positions), 1.54, damping=0, method="")
    few = np.array([0.7, 3.3, 9.1])
    factors = np.repeat([[28.0], [78.0]], 3, axis=1)
    found = debye_intensity(positions, (numbers == 78).astype(int), factors, few)
    yield (
        "Debye sum",
        "two atoms",
        _off(pair, exact),
        "ASE",
        _off(found, [theirs.get(one / (2 * np.pi)) for one in few]),
    )
    sites = nanocrystal(16).positions + random.normal(scale=0.1, size=(201, 3))
    other = freud.diffraction.StaticStructureFactorDebye(num_k_values=100, k_max=12.0, k_min=0.1)
    other.compute((freud.box.Box.cube(200.0), sites))
    one, none = np.ones((1, 100)), np.zeros(201, int)
    ours = structure_factor(debye_intensity(sites, none, one, np.asarray(other.k_values, float)), none, one)
    one_pair = structure_factor(pair, np.zeros(2, int), np.ones((1, 200)))
    yield "S(q)", "two atoms", _off(one_pair, exact / 2), "freud (single precision)", _off(ours, other.S_k)


def _centrosymmetry() -> Iterator[Row]:
    from ase.build import fcc111
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import CentroSymmetryModifier

    hcp = CELLS["Co"].repeat(4)
    ideal = hcp.copy()
    ideal.set_cell(hcp.cell[:] * np.array([[1], [1], [np.sqrt(8 / 3) * 2.507 / 4.069]]), scale_atoms=True)
    perfect = centrosymmetry(ideal.positions, 12, ideal.cell[:])
    slab = fcc111("Pt", (8, 8, 8), vacuum=8)
    slab.positions += np.random.default_rng(1).normal(scale=0.1, size=slab.positions.shape)
    data = ase_to_ovito(slab)
    data.apply(CentroSymmetryModifier(num_neighbors=12))
    found = centrosymmetry(slab.positions, 12, slab.cell[:], slab.pbc)
    yield (
        "centrosymmetry",
        "d² of ideal hcp",
        _off(perfect, 2.507**2),
        "OVITO",
        _off(found, data.particles["Centrosymmetry"][...]),
    )


def _surface() -> Iterator[Row]:
    from ase import Atoms
    from ase.cluster import wulff_construction
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import ConstructSurfaceModifier

    cube = np.stack(np.meshgrid(*[np.arange(6.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    perfect = alpha_shape(cube, 2.0)
    positions = nanocrystal(24).positions
    positions = positions + np.random.default_rng(0).normal(scale=0.25, size=positions.shape)
    data = ase_to_ovito(Atoms(f"Pt{len(positions)}", positions + 40, cell=80 * np.eye(3)))
    data.apply(ConstructSurfaceModifier(radius=3.3, smoothing_level=0, identify_regions=True))
    found, theirs = alpha_shape(positions, 3.3), data.attributes
    area, volume = (theirs[f"ConstructSurfaceMesh.{name}"] for name in ("surface_area", "filled_volume"))
    yield "surface area", "a cube", _off(perfect.area, 150.0), "OVITO", _off(found.area, area)
    yield "volume", "a cube", _off(perfect.volume, 125.0), "OVITO", _off(found.volume, volume)
    families, energies = [(1, 0, 0), (1, 1, 1)], [2 / np.sqrt(3), 1.0]
    # Of a regular truncated octahedron, whose faces are six squares and eight hexagons of one edge.
    squares, hexagons = 6.0, 8 * 1.5 * np.sqrt(3)
    exact = np.array([squares, hexagons]) / (squares + hexagons)
    parts = []
    for n_atoms in (4000, 8000, 16000, 40000):
        built = wulff_construction("Pt", families, energies, n_atoms, "fcc", rounding="closest")
        surface, every = alpha_shape(built.positions, 3.3), planes(families)
        plane = nearest_plane(surface.normals, every, 10.0)
        areas = np.bincount(every.family[plane[plane >= 0]], surface.areas[plane >= 0], 2)
        parts.append(areas / areas.sum())
    ours = wulff_areas(families, energies)
    yield (
        "Wulff shape, facets",
        "truncated octahedron",
        _off(ours, exact),
        "ASE (whole layers)",
        _off(np.mean(parts, axis=0), ours),
    )


def _composition() -> Iterator[Row]:
    """Count a core of nickel in a shell of platinum by shells, as OVITO does by its histogram of an expression."""
    positions = nanocrystal(26.0).positions
    distance = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    numbers = np.where(distance < 8.0, 28, 78)
    found = analysed(positions, numbers, composition={})
    outside = found["atoms/surface"] == 1
    parts = [(numbers[outside] == 28).mean(), (numbers[outside] == 78).mean()]
    theirs = {name: _ovito_shells(positions, numbers, found, name) for name in ("radius", "depth")}
    yield (
        "composition by radius, at the surface",
        "core and shell",
        _off(found["composition/fraction_surface"], parts),
        "OVITO",
        _off(found["composition/count_by_radius"], theirs["radius"]),
    )
    # In a ball of a fine lattice the core begins where its radius says, and has its part of the volume.
    grid = np.stack(np.meshgrid(*[np.arange(-13.0, 14)] * 3, indexing="ij"), -1).reshape(-1, 3) + 0.25
    ball = 2.5 * grid[np.linalg.norm(grid, axis=1) < 12.4]
    core = np.linalg.norm(ball, axis=1) < 2.5 * 7.0
    shells = analysed(ball, np.where(core, 28, 78), composition={})
    there = shells["composition/count_by_depth"].sum(axis=0) > 0
    depth = shells["composition/depth"]
    sharp = there & (np.abs(depth - 2.5 * (12.4 - 7.0)) > 4.0)
    expected = (depth > 2.5 * (12.4 - 7.0)).astype(float)
    yield (
        "composition by depth",
        "core of a ball",
        _off(shells["composition/fraction_by_depth"][0, sharp], expected[sharp]),
        "OVITO",
        _off(found["composition/count_by_depth"], theirs["depth"]),
    )


def _ovito_shells(positions: np.ndarray, numbers: np.ndarray, found: dict[str, Any], name: str) -> np.ndarray:
    """Return the histograms (elements, shells) that OVITO makes: of distances to the centre, or below the hull."""
    from ovito.modifiers import ComputePropertyModifier, ExpressionSelectionModifier, HistogramModifier
    from scipy.spatial import ConvexHull

    shells = found[f"composition/{name}"]
    width = shells[1] - shells[0]
    x, y, z = positions.mean(axis=0)
    expression = f"sqrt((Position.X-({x}))^2 + (Position.Y-({y}))^2 + (Position.Z-({z}))^2)"
    if name == "depth":
        expression = ""
        for a, b, c, d in np.unique(ConvexHull(positions).equations.round(9), axis=0):
            below = f"{-d} - ({a})*Position.X - ({b})*Position.Y - ({c})*Position.Z"
            expression = f"min({expression}, {below})" if expression else below
        expression = f"max({expression}, 0)"  # corners are rounded to either side
    counts = []
    for element in (28, 78):
        data = _data(positions)
        data.particles_.create_property("Number", data=numbers.astype(np.int32))
        data.apply(ComputePropertyModifier(output_property="Where", expressions=[expression]))
        data.apply(ExpressionSelectionModifier(expression=f"Number == {element}"))
        histogram = HistogramModifier(property="Where", bin_count=len(shells), only_selected=True)
        histogram.fix_xrange, histogram.xrange_start, histogram.xrange_end = True, 0.0, len(shells) * width
        data.apply(histogram)
        counts.append(next(iter(data.tables.values())).y[...])
    return np.array(counts)


def _pairs() -> Iterator[Row]:
    from scipy.spatial.distance import pdist

    fcc = CELLS["Pt"].repeat(6)
    edges = bin_edges(6.0, 0.03)
    shells = pair_counts(fcc.positions, edges, fcc.cell[:])
    expected = np.zeros(len(edges) - 1)
    for k, number in enumerate((12, 6, 24, 12), 1):
        if 3.92 * np.sqrt(k / 2) < 6.0:
            expected[np.searchsorted(edges, 3.92 * np.sqrt(k / 2)) - 1] = number * len(fcc) / 2
    positions = nanocrystal(24.0).positions
    positions = positions + np.random.default_rng(0).normal(scale=0.1, size=positions.shape)
    counted = np.histogram(pdist(positions), edges)[0]
    yield (
        "pairs by distance",
        "shells of fcc",
        _off(shells, expected),
        "scipy",
        _off(pair_counts(positions, edges), counted),
    )


_COMPARED: tuple[Callable[[], Iterator[Row]], ...] = (
    _pairs,
    _order,
    _voronoi,
    _warren_cowley,
    _angles,
    _centrosymmetry,
    _scattering,
    _surface,
    _composition,
)


def quantities(seeds: int) -> str:
    """Compare each quantity with geometry and another program: largest difference, in units of the largest value."""
    lines = ["| quantity | value known by geometry | off by | other program | off by |", "|---|---|---|---|---|"]
    for compare in _COMPARED:
        for name, exact, off, program, other in compare():
            lines.append(f"| {name} | {exact} | {_text(off)} | {program} | {_text(other)} |")
    return "\n".join(lines)


def _text(off: float) -> str:
    return "0" if off == 0 else "rounding" if off < ROUNDING else f"{off:.1e}"


TABLES = {"quantities": quantities}
