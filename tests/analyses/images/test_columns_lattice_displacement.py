"""From an image to displacements: what the three analyses that run by default say of images with known truth."""

import re

import numpy as np
import pytest
from scipy.spatial import KDTree

from stemdask.analyses.images.cells.displacement import DisplacementParams
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.analyses.images.columns.lattice import ABSURD, DIFFERENT, PLAUSIBLE, UNEQUAL, LatticeParams
from stemdask.analyses.images.stack.preprocess import PreprocessParams
from stemdask.errors import FrameError
from stemdask.kernels.images.fitting.cramer_rao import joint_bound
from stemdask.simulate import MotifColumn, lattice_image, perovskite

NM = 0.03
CRYSTAL = {
    "shape": (200, 220),
    "spacing": 14.0,
    "rotation": 8.0,
    "sigma_a": 2.3,
    "sigma_b": 2.3,
    "electrons_a": 5000.0,
    "electrons_b": 2000.0,
    "background": 2.0,
}


@pytest.fixture
def measured(analysed):
    """Return a function that runs the chain on one image."""

    def run(image, *, columns=None, lattice=None, displacement=None, before=(), pixel_size=(NM, NM), offset=(0.0, 0.0)):
        return analysed(
            [image],
            *before,
            ("columns", columns or ColumnsParams()),
            ("lattice", lattice or LatticeParams()),
            ("displacement", displacement or DisplacementParams()),
            pixel_size=pixel_size,
            offset=offset,
        )

    return run


def places(results, offset=(0.0, 0.0)):
    return np.column_stack([(results[f"columns/{a}"][0] - o) / NM for a, o in zip("yx", offset, strict=True)])


def test_displacements_and_positions_are_those_that_were_put_in(measured):
    image, truth = perovskite(displacement=(0.5, -0.3), **CRYSTAL)
    offset = (3.0, -7.0)
    results = measured(image, offset=offset).results
    found = places(results, offset)
    off, which = KDTree(truth.positions).query(found)
    assert np.sqrt(np.mean(off**2)) < 0.15
    np.testing.assert_array_equal(results["columns/sublattice"][0], truth.sublattice[which])
    u, v = results["displacement/u"][0], results["displacement/v"][0]
    assert np.median(u) == pytest.approx(0.5 * NM * 1e3, abs=0.6)
    assert np.median(v) == pytest.approx(-0.3 * NM * 1e3, abs=0.6)
    expected = np.degrees(np.arctan2(0.3, 0.5))
    assert np.median(results["displacement/angle"][0]) == pytest.approx(expected, abs=2)
    assert (results["displacement/significant"][0] == 1).mean() > 0.99


def shot_noise_limit(truth):
    """Smallest standard error in pm of one component of the displacement, from the information in the pixels."""
    bound = joint_bound(
        truth.expected,
        truth.positions,
        truth.electrons,
        np.full(len(truth.positions), CRYSTAL["sigma_a"]),
        truth.sublattice,
        truth.inside,
    )
    inner = ((truth.positions > 14) & (truth.positions < np.array(truth.expected.shape) - 15)).all(axis=1)
    a, b = (np.mean(bound[inner & (truth.sublattice == number)] ** 2) for number in (0, 1))
    return np.sqrt(b + a / 4) * NM * 1e3


@pytest.mark.claims
@pytest.mark.slow
def test_the_error_of_the_displacement_is_at_the_shot_noise_limit(measured):
    squares, pulls, significant = [], [], []
    for seed in range(6):
        image, truth = perovskite(seed=seed, **CRYSTAL)
        results = measured(image).results
        error = np.stack([results[f"displacement/{name}"][0] for name in "uv"])
        squares.append(error.ravel() ** 2)
        pulls.append((error / np.stack([results[f"displacement/{name}_err"][0] for name in "uv"])).ravel())
        significant.append(results["displacement/significant"][0])
    ratio = np.sqrt(np.mean(np.concatenate(squares))) / shot_noise_limit(truth)
    share = np.concatenate(significant).mean()
    within = (np.abs(np.concatenate(pulls)) < 1).mean()
    print(
        f"RMS error / shot-noise limit: {ratio:.3f}; within one standard error: {within:.3f}; significant: {share:.3f}"
    )
    assert ratio <= 1.05
    assert within == pytest.approx(0.683, abs=0.03)
    assert share <= 0.065  # 0.05 and three standard deviations of 1,000 cells


@pytest.mark.parametrize("refinement", ["centre_of_mass", "gaussian", "joint"])
def test_each_refinement_measures_isolated_columns(measured, refinement):
    motif = (MotifColumn((0.0, 0.0), 20000.0, 2.2, 0), MotifColumn((0.5, 0.5), 8000.0, 2.2, 1))
    image, truth = lattice_image((200, 210), [[0.0, 26.0], [26.0, 0.0]], motif, background=2.0)
    results = measured(image, columns=ColumnsParams(refinement=refinement)).results
    off, _ = KDTree(truth.positions).query(places(results))
    assert np.sqrt(np.mean(off**2)) < 0.1
    if refinement == "centre_of_mass":
        assert np.isnan(results["columns/y_err"]).all()
        assert (results["displacement/significant"] == -1).all()


def test_a_separation_that_is_given_is_kept(measured):
    image, _ = perovskite(**CRYSTAL)
    near = measured(image, columns=ColumnsParams(separation="0.42 nm")).results
    far = measured(image, columns=ColumnsParams(separation=["12 px", "16 px"])).results
    np.testing.assert_array_equal(near["columns/y"], far["columns/y"])
    with pytest.raises(FrameError, match="separation of 4 to 6 px"):
        measured(image, columns=ColumnsParams(separation="5 px"))


def test_a_frame_without_a_lattice_is_refused_with_a_remedy(measured):
    with pytest.raises(FrameError, match=r"no lattice.*[Gg]ive|repeating"):
        measured(np.random.default_rng(0).poisson(9.0, (128, 128)).astype(np.float32))


def test_positions_stay_in_the_frame_of_the_source(measured):
    image, truth = perovskite(**CRYSTAL)
    turned = (
        "preprocess",
        PreprocessParams(crop=("20 px", "30 px", "190 px", "200 px"), rotate={"angle": 30.0, "pixels": True}),
    )
    results = measured(image, before=(turned,)).results
    found = places(results)
    off, _ = KDTree(truth.positions).query(found)
    assert np.median(off) < 0.1
    assert found.min() > 20


def test_the_lattice_is_the_one_that_was_drawn(measured):
    image, _ = perovskite(**CRYSTAL)
    results = measured(image).results
    a, b = (np.array([results[f"lattice/{name}_{axis}"][0] for axis in "yx"]) for name in "ab")
    np.testing.assert_allclose(np.hypot(*a), 14.0 * NM, rtol=2e-4)
    assert np.degrees(np.arctan2(-a[0], a[1])) == pytest.approx(8.0, abs=0.02)
    assert np.degrees(np.arctan2(-b[0], b[1])) == pytest.approx(-82.0, abs=0.02)


@pytest.mark.parametrize(
    ("pixel_size", "constant", "flag", "words"),
    [
        ((NM, NM), None, PLAUSIBLE, None),
        ((1.0, 1.0), None, ABSURD, "no crystal"),
        ((NM, 1.1 * NM), None, UNEQUAL, "not square"),
        ((NM, NM), "4.01 angstrom", DIFFERENT, "multiply the pixel size by 0.954"),
        ((NM, NM), "4.2 angstrom", PLAUSIBLE, None),
    ],
)
def test_a_wrong_scale_is_said_with_its_remedy(measured, pixel_size, constant, flag, words):
    image, _ = perovskite(**CRYSTAL)
    stack = measured(image, lattice=LatticeParams(constant=constant), pixel_size=pixel_size)
    assert stack.results["lattice/calibration"][0] == flag
    warning = stack.attributes.get("lattice", {}).get("warning")
    assert (words in warning) if words else warning is None


def test_tilt_is_removed_as_a_plane_and_polarisation_follows_the_charge(measured):
    def tilted(positions):
        return np.stack([0.4 + 0.002 * positions[:, 0], -0.3 + 0 * positions[:, 1]], axis=1)

    image, _ = perovskite(displacement=tilted, **CRYSTAL)
    left = measured(image, displacement=DisplacementParams(remove="tilt")).results
    assert np.nanmedian(left["displacement/magnitude"]) < 2.5
    charged = DisplacementParams(born_charge=7.0, depth="4.2 angstrom", remove="none")
    results = measured(image, displacement=charged).results
    ratio = results["displacement/polarisation_u"] / results["displacement/u"]
    # 1 electron charge over 1 square angstrom is 1602.18 uC/cm2.
    np.testing.assert_allclose(ratio, 1602.18 * 7.0 * 0.01 / 4.2**3, rtol=1e-3)


def test_the_references_agree_where_nothing_is_distorted(measured):
    image, _ = perovskite(displacement=(0.3, 0.0), **CRYSTAL)
    results = measured(image).results
    assert np.median(results["displacement/disagreement"]) < 3.0
    assert results["displacement/noise_floor"][0] == pytest.approx(np.median(results["displacement/u_err"]), rel=0.2)


def test_a_crystal_of_one_sublattice_has_cells_of_which_none_is_displaced(measured):
    motif = (MotifColumn((0.0, 0.0), 5000.0, 2.2, 0),)
    image, _ = lattice_image((160, 160), [[0.0, 12.0], [12.0, 0.0]], motif, background=2.0)
    results = measured(image).results
    assert results["columns/y"].shape[1] > 100
    assert results["displacement/u"].shape[1] > 80
    assert np.isnan(results["displacement/u"]).all()
    assert (results["displacement/column"] == -1).all()


@pytest.mark.parametrize(
    ("electrons_b", "chosen", "kind", "words"),
    [
        (2000.0, {}, "comment", "columns of B are 0.4"),
        (2000.0, {"displaced": "C"}, "warning", "the sublattices found are A, B"),
        (60.0, {}, "warning", "all columns are alike"),
    ],
)
def test_what_is_displaced_against_what_is_said_or_why_nothing_is(measured, electrons_b, chosen, kind, words):
    image, _ = perovskite(**CRYSTAL | {"electrons_b": electrons_b})
    stack = measured(image, displacement=DisplacementParams(**chosen))
    said = stack.attributes["displacement"]
    assert list(said) == [kind]
    assert words in said[kind]
    assert np.isfinite(stack.results["displacement/u"]).any() == (kind == "comment")


def test_how_faint_columns_could_be_without_being_seen_follows_the_dose(measured):
    least = []
    for electrons in (100.0, 1600.0):
        image, _ = perovskite(**CRYSTAL | {"electrons_a": electrons, "electrons_b": 0.0, "background": 0.5})
        words = measured(image).attributes["displacement"]["warning"]
        least.append(float(re.search(r"less than about ([\d.]+) %", words)[1]))
    assert 15 < least[0] < 60
    assert 2.5 < least[0] / least[1] < 8.0
