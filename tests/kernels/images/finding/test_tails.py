from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from stemdask.analyses import chain, registry
from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.images.finding.columns import Columns, find_columns
from stemdask.kernels.images.finding.tails import Faint, explained_by_tails, judge_faint
from stemdask.kernels.images.fitting.column_fit import ColumnFit
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.model import ImageFrame, Step
from stemdask.simulate import MotifColumn, lattice_image

A = 20.0
#: A square cell and one of a close-packed plane, and the empty middles of the gaps in them; layers, and a place beside
#: one, which has columns on one side.
CELLS = {
    "square": (np.eye(2), np.array([[0.5, 0.5]])),
    "hexagonal": (np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]]), np.array([[1.0, 1.0], [2.0, 2.0]]) / 3.0),
    "layers": (np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.5, 0.4]])),
}


def airy(first_zero: float) -> Callable[[Floats], Floats]:
    def profile(distance: Floats) -> Floats:
        along = np.maximum(distance, 1e-6) * special.jn_zeros(1, 1)[0] / first_zero
        return np.asarray((2.0 * special.j1(along) / along) ** 2)

    return profile


def gaussian(distance: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * (distance / 3.6) ** 2))


def particle(cell: str, profile: Callable[[Floats], Floats], in_gaps: float = 0.0, counts: float = 30_000.0) -> Image:
    """Draw a round particle that gets thinner towards its rim, 300 px wide, with counting noise."""
    side, random = 420, np.random.default_rng(0)
    turn = np.radians(12.0)
    basis = A * CELLS[cell][0] @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    cells = np.stack(np.meshgrid(np.arange(-30, 31), np.arange(-30, 31), indexing="ij"), axis=-1).reshape(-1, 2)
    image = np.full((side, side), 0.03)
    y, x = np.indices(image.shape)
    for place, height in [(np.zeros(2), 1.0), *((gap, in_gaps) for gap in CELLS[cell][1])]:
        at = (cells + place) @ basis
        for column in at[np.hypot(*at.T) < 150.0] if height else ():
            depth = np.clip((150.0 - np.hypot(*column)) / 80.0, 0.12, 1.0) ** 0.6
            part = tuple(slice(max(int(c) + side // 2 - 50, 0), int(c) + side // 2 + 51) for c in column)
            away = np.hypot(y[part] - side / 2 - column[0], x[part] - side / 2 - column[1])
            image[part] += height * depth * profile(away)
    return random.poisson(counts * image).astype(np.float32)


def fitted(image: Image) -> tuple[Columns, ColumnFit]:
    found = find_columns(image)
    kinds = np.concatenate([found.sublattice, found.ghost_sublattice])
    held = np.arange(len(kinds)) >= len(found.positions)
    start = np.concatenate([found.positions, found.ghosts])
    return found, fit_joint(image, start, kinds, np.repeat(found.widths, kinds.max() + 1), held=held)


def judged(image: Image) -> Faint:
    return judge_faint(image, *fitted(image))


#: Where the first ring of the probe is highest, in units of the distance from the middle of a gap to the next column.
#: At 0.8 those of two columns meet, beside the middle.
RINGS = [("square", 0.8), ("square", 1.0), ("hexagonal", 0.85), ("hexagonal", 1.0)]


@pytest.mark.long
@pytest.mark.parametrize(("cell", "ring"), RINGS)
def test_spots_where_rings_of_the_probe_meet_are_explained_by_them(cell: str, ring: float) -> None:
    to_gap = A / np.sqrt(2.0 if cell == "square" else 3.0)
    faint = judged(particle(cell, airy(ring * to_gap * special.jn_zeros(1, 1)[0] / special.jn_zeros(2, 1)[0])))
    assert len(faint.kinds) > 0
    assert faint.explained > 0.9
    assert faint.are_tails


@pytest.mark.long
@pytest.mark.parametrize(("cell", "ring"), [("square", 0.75), ("square", 0.85), ("square", 1.1), ("hexagonal", 0.9)])
def test_no_spot_of_rings_is_believed_wherever_they_meet(cell: str, ring: float) -> None:
    to_gap = A / np.sqrt(2.0 if cell == "square" else 3.0)
    image = particle(cell, airy(ring * to_gap * special.jn_zeros(1, 1)[0] / special.jn_zeros(2, 1)[0]))
    found, fit = fitted(image)
    faint = judge_faint(image, found, fit)
    assert found.sublattice.max() == len(faint.kinds), "all but the bright ones"
    assert faint.are_tails or not len(faint.kinds)


@pytest.mark.long
@pytest.mark.parametrize(("cell", "height"), [("square", 0.08), ("square", 0.11), ("layers", 0.08), ("layers", 0.11)])
def test_faint_columns_in_the_gaps_are_not_explained_by_tails(cell: str, height: float) -> None:
    faint = judged(particle(cell, gaussian, height))
    assert faint.kinds.tolist() == [1]
    assert faint.explained < 0.3
    assert not faint.may_be_tails


@pytest.mark.long
def test_a_crystal_that_fills_the_field_cannot_tell_faint_columns_from_tails() -> None:
    image = particle("square", gaussian, 0.11)[130:290, 130:290]
    faint = judged(image)
    assert faint.kinds.tolist() == [1]
    assert np.isnan(faint.explained)
    assert faint.may_be_tails
    assert not faint.are_tails


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_the_border_of_the_image_is_no_rim_of_a_crystal_with_a_wide_cell(seed: int) -> None:
    """Beside a corner the columns that are seen are on one side: oxygen of rutile was taken for tails."""
    height, width, o = 100.0, 4.2, 0.305
    whole = 2.0 * np.pi * width**2 * height
    metal = [MotifColumn(place, whole, width, k) for k, place in enumerate([(0.0, 0.0), (0.5, 0.5)])]
    faint = [(o, o), (1 - o, 1 - o), (0.5 + o, 0.5 - o), (0.5 - o, 0.5 + o)]
    oxygen = [MotifColumn(place, 0.11 * whole, width, 2 + k) for k, place in enumerate(faint)]
    basis = 46.0 * np.array([[0.0, 1.0], [1.0, 0.0]])
    motif, low = [*metal, *oxygen], 0.03 * height
    image, _ = lattice_image((446, 447), basis, motif, origin=(10.0, 20.0), background=low, seed=seed)
    found, fit = fitted(np.asarray(image, np.float32))
    assert np.isnan(explained_by_tails(image, found, fit, np.arange(2, 6)))


@pytest.mark.slow
@pytest.mark.long
def test_a_particle_of_one_element_has_one_sublattice_whatever_the_rings_of_the_probe() -> None:
    image = particle("square", airy(10.5))
    steps = [Step(name, registry.get("images", name).params()) for name in ("columns", "lattice")]
    assert find_columns(image).sublattice.max() > 0, "or the test says nothing"
    values = chain.analyse("images", steps, ImageFrame(0, image, (1.0, 1.0)))
    assert np.unique(values["columns/sublattice"]).tolist() == [0]
    asked = [Step("columns", registry.get("images", "columns").params(sublattices=2)), steps[1]]
    values = chain.analyse("images", asked, ImageFrame(0, image, (1.0, 1.0)))
    assert np.unique(values["columns/sublattice"]).tolist() == [0, 1], "who asks for two gets two"


def test_faint_columns_that_have_the_others_on_one_side_are_not_questioned() -> None:
    """Tails meet in the middle of a gap; oxygen in a layered oxide lies beside a layer of metal."""
    basis = np.array([[0.0, 20.0], [40.0, 0.0]])
    beside = MotifColumn((0.5, 0.2), 4_000.0, 3.0, 1)
    image, _ = lattice_image((300, 320), basis, (MotifColumn((0.0, 0.0), 40_000.0, 3.0, 0), beside), background=5.0)
    found, fit = fitted(np.asarray(image, np.float32))
    assert found.sublattice.max() == 1
    assert len(judge_faint(image.astype(np.float32), found, fit).kinds) == 0
