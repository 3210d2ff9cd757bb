from dataclasses import replace

import numpy as np
import pytest
from cells import BETA_MANGANESE, NITROGEN, SILICON
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from stemdask.kernels.images.finding.columns import MAX_SUBLATTICES, Columns, find_columns
from stemdask.kernels.images.finding.separation import NoLatticeError, TooFewCellsError
from stemdask.simulate import MotifColumn, Truth, lattice_image, perovskite

HEXAGON = np.array([[0.0, 1.0], [np.sqrt(0.75), 0.5]])


def score(found: Columns, truth: Truth, shape: tuple[int, ...]) -> tuple[float, float, float]:
    """Recall and precision of what lies a cell inside the border, and the part with the right sublattice."""
    near = 0.3 * found.distance
    margin = 0.8 * found.distance
    inner = ((truth.positions >= margin) & (truth.positions <= np.array(shape) - 1 - margin)).all(axis=1)
    recall = cKDTree(found.positions).query(truth.positions[inner])[0] < near
    distance, which = cKDTree(truth.positions).query(found.positions)
    right = distance < near
    return recall.mean(), right.mean(), (truth.sublattice[which] == found.sublattice)[right].mean()


def turn(basis: object, degree: float) -> np.ndarray:
    c, s = np.cos(np.radians(degree)), np.sin(np.radians(degree))
    return np.asarray(basis, float) @ np.array([[c, s], [-s, c]])


@pytest.mark.parametrize("ratio", [1.2, 4.0, 20.0])
@pytest.mark.parametrize(("spacing", "rotation"), [(6.0, 0.0), (6.0, 45.0), (14.0, 12.0), (36.0, 70.0)])
def test_all_columns_of_a_perovskite_are_found_and_none_is_invented(
    spacing: float, rotation: float, ratio: float
) -> None:
    side, sigma = max(160, int(10 * spacing)), 0.18 * spacing
    image, truth = perovskite(
        (side, side + 20), spacing, rotation=rotation, sigma_a=sigma, sigma_b=sigma,
        electrons_a=1e5, electrons_b=1e5 / ratio, background=1e5 / (60 * sigma**2),
    )  # fmt: skip
    recall, precision, named = score(find_columns(image), truth, image.shape)
    assert recall >= 0.99
    assert precision >= 0.99
    assert named == 1.0


C = MotifColumn
STRUCTURES = {
    "perovskite <110>": ([[0, 30], [21.2, 0]], (C((0, 0), 5000, 4, 0), C((0.5, 0), 1500, 4, 1))),
    "perovskite with oxygen": (
        [[0, 24], [24, 0]],
        (C((0, 0), 5000, 3, 0), C((0.5, 0.5), 2500, 3, 1), C((0.5, 0), 900, 3, 2), C((0, 0.5), 700, 3, 3)),
    ),
    "rock salt <001>": ([[0, 12], [12, 0]], (C((0, 0), 5000, 2.2, 0),)),
    "rock salt <110>": ([[0, 20], [14.1, 0]], (C((0, 0), 5000, 2.2, 0), C((0.5, 0), 2000, 2.2, 1))),
    "zinc blende <110>": ([[14.1, 20], [14.1, -20]], (C((0, 0), 5000, 2.4, 0), C((0.25, 0.25), 3500, 2.4, 1))),
    "diamond <110>": ([[14.1, 20], [14.1, -20]], (C((0, 0), 5000, 2, 0), C((0.25, 0.25), 5000, 2, 0))),
    "fcc <110>": ([[10, 14.1], [10, -14.1]], (C((0, 0), 5000, 2.4, 0),)),
    "MoS2": (16 * HEXAGON, (C((1 / 3, 1 / 3), 5000, 2, 0), C((2 / 3, 2 / 3), 1800, 2, 1))),
    "graphene": (16 * HEXAGON, (C((1 / 3, 1 / 3), 3000, 2, 0), C((2 / 3, 2 / 3), 3000, 2, 0))),
    "hcp <0001>": (16 * HEXAGON, (C((0, 0), 5000, 3, 0),)),
    "A and B alike": ([[0, 14], [14, 0]], (C((0, 0), 5000, 2.2, 0), C((0.5, 0.5), 4400, 2.2, 1))),
}


@pytest.mark.parametrize("rotation", [0.0, 45.0, 63.0])
@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_are_found_whole_and_named_by_brightness(name: str, rotation: float) -> None:
    basis, motif = STRUCTURES[name]
    image, truth = lattice_image((300, 310), turn(basis, rotation), motif, background=8.0, seed=1)
    found = find_columns(image)
    recall, precision, named = score(found, truth, image.shape)
    assert recall >= 0.99
    assert precision >= 0.99
    if len({column.electrons for column in motif}) == len(motif):
        assert named == 1.0
    assert len(set(zip(found.sublattice, found.i, found.j, strict=True))) == len(found.i)
    area = abs(np.linalg.det(np.stack([found.vectors.a, found.vectors.b])))
    assert area == pytest.approx(abs(np.linalg.det(np.asarray(basis, float))), rel=0.01)


@pytest.mark.long
def test_a_large_cell_has_a_name_for_each_of_its_columns() -> None:
    # Metal columns of a tetragonal tungsten bronze along [001], two tunnels of each cell as A: 16 columns in 12.5 Å.
    tunnels = [(0.0, 0.0), (0.5, 0.5), (0.1725, 0.6725), (0.6725, 0.8275), (0.8275, 0.3275), (0.3275, 0.1725)]
    niobium = [(0.0, 0.5), (0.5, 0.0), (0.0745, 0.2117), (0.2117, 0.9255), (0.9255, 0.7883), (0.7883, 0.0745)]
    niobium += [(0.4255, 0.7117), (0.2883, 0.4255), (0.5745, 0.2883), (0.7117, 0.5745)]
    motif = [MotifColumn(place, 4e4 if n < 6 else 2e4, 3.0, n) for n, place in enumerate([*tunnels, *niobium])]
    image, truth = lattice_image((420, 420), np.array([[0.0, 83.0], [83.0, 0.0]]), motif, background=5.0, seed=1)
    found = find_columns(image)
    inner = ((truth.positions > 12) & (truth.positions < 407)).all(axis=1)
    assert cKDTree(found.positions).query(truth.positions[inner])[0].max() < 2.0
    assert cKDTree(truth.positions).query(found.positions)[0].max() < 2.0
    assert set(found.sublattice) == set(range(16))


@pytest.mark.parametrize("rotation", [0.0, 19.0])
def test_columns_that_stand_in_pairs_in_a_wide_cell_are_told_apart(rotation: float) -> None:
    motif = [MotifColumn(place, 8e3, 3.2, 0) for place in BETA_MANGANESE]
    image, truth = lattice_image((420, 420), turn([[0.0, 63.0], [63.0, 0.0]], rotation), motif, background=20.0, seed=1)
    found = find_columns(image)
    inner = ((truth.positions > 12) & (truth.positions < 407)).all(axis=1)
    assert cKDTree(found.positions).query(truth.positions[inner])[0].max() < 2.0
    assert cKDTree(truth.positions).query(found.positions)[0].max() < 2.0


def test_a_faint_column_on_the_flank_of_a_bright_one_is_told_apart_where_the_cell_asks_for_it() -> None:
    motif = [MotifColumn(place, 2e4, 3.7, 0) for place in SILICON] + [MotifColumn(p, 6e3, 3.7, 1) for p in NITROGEN]
    image, truth = lattice_image((420, 420), turn([[0.0, 76.0], [65.8, -38.0]], 25.0), motif, background=20.0, seed=1)
    found = find_columns(image)
    inner = ((truth.positions > 12) & (truth.positions < 407)).all(axis=1)
    away, which = cKDTree(found.positions).query(truth.positions[inner])
    assert away.max() < 2.0
    assert len(set(which)) == np.count_nonzero(inner)
    assert cKDTree(truth.positions).query(found.positions)[0].max() < 2.0


def test_a_cell_of_more_columns_than_have_names_is_refused_unless_the_brightest_are_asked_for() -> None:
    places = [((i + 0.03 * i * j % 0.1) / 6, (j + 0.05 * i * i % 0.15) / 5) for i in range(6) for j in range(5)]
    motif = [MotifColumn(place, 1e4 - 200 * n, 2.4, 0) for n, place in enumerate(places)]
    image, _ = lattice_image((480, 480), np.array([[0.0, 75.0], [84.0, 0.0]]), motif, background=20.0, seed=1)
    vectors = np.array([0.0, 75.0]), np.array([84.0, 0.0])
    with pytest.raises(NoLatticeError, match=f"30 columns, and at most {MAX_SUBLATTICES} are told apart"):
        find_columns(image, vectors=vectors)
    assert find_columns(image, vectors=vectors, sublattices=20).sublattice.max() == 19


def test_indices_and_positions_belong_to_one_lattice() -> None:
    image, _ = perovskite((200, 220), 14.0, rotation=20.0, missing=0.05)
    found = find_columns(image)
    for number, offset in ((0, 0.0), (1, 0.5)):
        of = found.sublattice == number
        sites = (found.i[of, None] + offset) * found.vectors.a + (found.j[of, None] + offset) * found.vectors.b
        off = found.positions[of] - sites
        assert np.percentile(np.abs(off - np.median(off, axis=0)), 99) < 0.6
    assert found.i.min() == 0
    assert found.j.min() == 0


def test_missing_columns_are_left_out_and_nothing_else() -> None:
    image, truth = perovskite(
        (300, 300), 14.0, rotation=12.0, missing=0.05, electrons_b=1500.0, sigma_a=2.3, sigma_b=2.3
    )
    recall, precision, _ = score(find_columns(image), truth, image.shape)
    assert recall >= 0.995
    assert precision >= 0.995


def test_vacuum_and_an_amorphous_film_hold_no_columns() -> None:
    rows, columns = np.indices((300, 320))
    rng = np.random.default_rng(0)
    film = columns > 180
    common = {"rotation": 12.0, "electrons_a": 3000.0, "electrons_b": 1000.0, "sigma_a": 2.3, "sigma_b": 2.3}
    image, truth = perovskite((300, 320), 14.0, vacuum=np.hypot(rows - 150, columns - 150) > 110, **common)  # type: ignore[arg-type]
    recall, precision, _ = score(find_columns(image), truth, image.shape)
    assert recall >= 0.99
    assert precision >= 0.99
    image, truth = perovskite((300, 320), 14.0, vacuum=film, **common)  # type: ignore[arg-type]
    speckle = gaussian_filter(rng.normal(size=image.shape), 2.5)
    image = image + np.where(film, rng.poisson(np.clip(speckle / speckle.std() * 15 + 30, 0, None)), 0)
    recall, precision, _ = score(find_columns(image), truth, image.shape)
    assert recall >= 0.99
    assert precision >= 0.98


def test_scan_distortion_and_a_gradient_lose_no_column() -> None:
    rows = np.arange(300)
    jitter = np.random.default_rng(1).normal(0, 0.4, (300, 2))
    drift = np.stack([2 * np.sin(rows / 60), 6 * np.sin(rows / 90)], axis=1)
    image, truth = perovskite((300, 320), 14.0, rotation=12.0, gradient=3.0, row_shift=jitter + drift)
    found = find_columns(image)
    inside = truth.inside.sum()
    assert abs(len(found.positions) / inside - 1.0) < 0.04
    assert (np.bincount(found.sublattice) > 0.46 * inside).all()


def test_missing_pixels_cost_only_the_columns_under_them() -> None:
    image, truth = perovskite((240, 240), 14.0)
    image[60:90, 100:150] = np.nan
    image[np.random.default_rng(0).random(image.shape) < 0.01] = np.nan
    found = find_columns(image)
    hidden = ((truth.positions > [58, 98]) & (truth.positions < [91, 151])).all(axis=1)
    recall, precision, _ = score(
        found, replace(truth, positions=truth.positions[~hidden], sublattice=truth.sublattice[~hidden]), image.shape
    )
    assert recall >= 0.99
    assert precision >= 0.99


@pytest.mark.parametrize("seed", range(4))
def test_a_grain_ends_where_the_lattice_turns_though_its_rows_go_on(seed: int) -> None:
    """Gold along [110] is nearly hexagonal: rows of one grain meet those of the next, and lead growth into it."""
    random = np.random.default_rng(seed)
    first = random.uniform(-40, 40)
    halves, truths = [], []
    for angle in (first, first + random.uniform(15, 20)):
        basis = turn([[0.0, 18.0], [25.5, 0.0]], angle)
        motif = [MotifColumn(place, 3000.0, 3.2, 0) for place in ((0.0, 0.0), (0.5, 0.5))]
        image, truth = lattice_image((320, 340), basis, motif, background=3.0, seed=seed)
        halves.append(image)
        truths.append(truth.positions[truth.inside])
    image = np.hstack([halves[0][:, :170], halves[1][:, 170:]])
    found = find_columns(image)
    clear = [truth[side] for truth, side in zip(truths, (truths[0][:, 1] < 160, truths[1][:, 1] > 180), strict=True)]
    for truth in clear:
        inside = truth[((truth > 8) & (truth < np.array(image.shape) - 9)).all(axis=1)]
        off, which = cKDTree(found.positions).query(inside)
        assert (off < 2.0).mean() > 0.99
        assert len(set(found.grain[which])) == 1


def test_two_grains_have_lattices_of_their_own() -> None:
    columns = np.indices((300, 320))[1]
    left, _ = perovskite((300, 320), 14.0, rotation=12.0, vacuum=columns > 170)
    right, _ = perovskite((300, 320), 14.0, rotation=35.0, vacuum=columns <= 172, seed=5)
    found = find_columns(left + right)
    assert set(found.grain) == {0, 1}
    assert np.median(found.positions[found.grain == 0, 1]) < 170 < np.median(found.positions[found.grain == 1, 1])
    assert len(set(zip(found.sublattice, found.i, found.j, strict=True))) == len(found.i)
    assert (found.positions[found.grain == 0, 1] < 178).all()


def test_a_grain_of_few_cells_with_many_columns_each_is_found() -> None:
    """Eight columns in a cell of 46 × 38 px, as of a pyrochlore along [110]: the smaller grain has some 25 cells."""
    bright = (
        [(0.0, 0.0), (0.5, 0.5)],
        [(0.5, 0.0), (0.0, 0.5), (0.25, 0.25), (0.75, 0.75)],
        [(0.75, 0.25), (0.25, 0.75)],
    )
    motif = [MotifColumn(p, 4000.0 - 1200.0 * n, 2.4, n) for n, places in enumerate(bright) for p in places]
    halves = []
    for angle, side in ((12.0, np.s_[:, :240]), (41.0, np.s_[:, 240:])):
        image, truth = lattice_image((330, 400), turn([[0.0, 46.0], [38.0, 0.0]], angle), motif, background=2.0, seed=1)
        halves.append((image[side], truth.positions))
    found = find_columns(np.hstack([image for image, _ in halves]))
    assert set(found.grain) == {0, 1}
    for (_, places), (left, right) in zip(halves, ((10, 230), (250, 390)), strict=True):
        inside = places[(places[:, 0] > 10) & (places[:, 0] < 320) & (places[:, 1] > left) & (places[:, 1] < right)]
        assert (cKDTree(found.positions).query(inside)[0] < 2.0).mean() > 0.99
    assert len(found.left_out) < 0.01 * len(found.positions)


def test_bright_spots_that_are_on_no_lattice_are_told() -> None:
    crystal, _ = perovskite((300, 320), 14.0, seed=1)
    assert len(find_columns(crystal).left_out) == 0
    rows, columns = np.indices((300, 320))
    places = np.random.default_rng(2).uniform((10, 240), (290, 310), (900, 2))
    spots = [places[0]]
    for place in places:
        if min(np.hypot(*(place - other)) for other in spots) > 13.0:
            spots.append(place)
    mixed = np.where(columns < 225, crystal, np.median(crystal[:, :225]).astype(crystal.dtype))
    height = np.percentile(crystal, 99) - mixed[0, -1]
    for y, x in spots:
        mixed = mixed + height * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 2.8**2))
    left_out = find_columns(mixed).left_out
    assert len(left_out) > 0.7 * len(spots)
    assert (left_out[:, 1] > 225).all()


@settings(max_examples=12)
@given(
    st.sampled_from([np.uint8, np.uint16, np.int32, np.float16, np.float32, np.float64]),
    st.floats(0.2, 5.0),
    st.floats(0.0, 30.0),
)
def test_dtype_scale_and_offset_change_nothing(dtype: type, scale: float, offset: float) -> None:
    image, _ = perovskite((120, 130), 12.0, rotation=8.0, electrons_a=1000.0, electrons_b=400.0, noise=None)
    levels = np.clip(np.round(image), 0, 200)
    expected = find_columns(levels)
    whole = np.issubdtype(dtype, np.integer)
    given_image = (levels + round(offset) if whole else levels * scale + offset).astype(dtype)
    found = find_columns(given_image)
    np.testing.assert_array_equal(found.sublattice, expected.sublattice)
    np.testing.assert_array_equal(found.i, expected.i)
    np.testing.assert_allclose(found.positions, expected.positions, atol=0.05 if dtype is np.float16 else 1e-3)


def test_what_shows_no_crystal_is_refused_in_words() -> None:
    rng = np.random.default_rng(0)
    for image in (np.full((64, 64), np.nan), np.ones((64, 64)), rng.normal(size=(200, 200)), np.zeros((5, 5))):
        with pytest.raises(NoLatticeError, match=r"lattice|vectors"):
            find_columns(image)


def test_ghosts_surround_the_image() -> None:
    image, truth = perovskite((140, 150), 14.0, rotation=7.0)
    found = find_columns(image)
    outside = ~((found.ghosts >= 0) & (found.ghosts <= np.array(image.shape) - 1)).all(axis=1)
    assert outside.mean() > 0.8
    beyond = truth.positions[~truth.inside]
    low, high = -9.0, np.array(image.shape) + 8.0
    beyond = beyond[((beyond > low) & (beyond < high)).all(axis=1)]
    assert (cKDTree(found.ghosts).query(beyond)[0] < 1.0).mean() > 0.9


@pytest.mark.parametrize(("ratio", "seen"), [(10.0, True), (1000.0, False)])
def test_a_sublattice_that_shows_in_the_mean_cell_alone_is_told(ratio: float, seen: bool) -> None:
    image = perovskite(
        (224, 235), 14.0, sigma_a=2.5, sigma_b=2.5, electrons_a=300, electrons_b=300 / ratio, background=0.8, seed=0,
    )[0]  # fmt: skip
    found = find_columns(image)
    assert not found.sublattice.any()
    assert len(found.too_faint) == seen
    assert not seen or found.too_faint[0] == pytest.approx(1 / ratio, abs=0.04)


def test_ghosts_of_a_domain_lie_where_its_columns_do() -> None:
    def opposite(places: np.ndarray) -> np.ndarray:
        return np.where(places[:, 1:] < 120, -1.0, 1.0) * [0.3, 0.9]

    image, truth = perovskite((240, 240), 17.0, displacement=opposite, margin=20, seed=2)
    found = find_columns(image)
    places = found.ghosts[found.ghost_sublattice == 1]
    off, nearest = cKDTree(truth.positions).query(places)
    assert (truth.sublattice[nearest] == 1).all()
    # The lattice of both domains has them 0.95 px aside.
    assert np.median(off) < 0.25


@pytest.mark.parametrize("slope", [1.5, 6.0])
def test_a_slope_across_the_image_changes_no_column(slope: float) -> None:
    # A wedge, or an illumination that is off the middle; without the slope it would be half of the columns, or none.
    image, _ = perovskite((256, 256), 16.0, rotation=7.0, sigma_a=4.0, sigma_b=4.0, seed=1)
    y, x = np.mgrid[:256, :256] / 256
    even, sloping = find_columns(image), find_columns(image + slope * np.ptp(image) * (x - 0.3 * y))
    np.testing.assert_array_equal(sloping.sublattice, even.sublattice)
    moved = np.hypot(*(sloping.positions - even.positions).T)
    assert np.mean(moved < 0.05) > 0.99
    assert moved.max() < 4.0  # one that noise moves by a width, near the border


@pytest.mark.parametrize("cells", [1.9, 2.5])
def test_a_layered_crystal_of_fewer_than_two_high_cells_asks_for_a_larger_image(cells: float) -> None:
    """As Ti3SiC2 along [11-20]: the layers nearly repeat where the cell doesn't."""
    layers = [(0.0, 0.0), (0.1355, 1 / 3), (0.25, 0.0), (0.3645, 1 / 3), (0.5, 0.0), (0.6355, 2 / 3), (0.75, 0.0)]
    motif = [MotifColumn((x, y), 2e4, 4.0, k) for k, (y, x) in enumerate([*layers, (0.8645, 2 / 3)])]
    basis = np.array([[0.0, 26.6], [177.0, 0.0]])
    image, _ = lattice_image((int(cells * 177), 415), basis, motif, background=40.0)
    if cells > 2.0:
        assert np.hypot(*find_columns(image).vectors.b) == pytest.approx(177.0, rel=0.01)
        return
    with pytest.raises(TooFewCellsError, match="does so too seldom in 336 × 415 px"):
        find_columns(image)
