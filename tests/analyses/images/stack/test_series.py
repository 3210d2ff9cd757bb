"""A series of one area through the whole chain, from drifting frames to displacement and strain."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from stemdask.analyses.images.cells.displacement import DisplacementParams
from stemdask.analyses.images.cells.strain import StrainParams
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.analyses.images.columns.intensity import IntensityParams
from stemdask.analyses.images.columns.lattice import LatticeParams
from stemdask.analyses.images.stack.preprocess import PreprocessParams
from stemdask.analyses.images.stack.registration import RegistrationParams
from stemdask.errors import FrameError
from stemdask.simulate import perovskite, stack

NM = 0.03
AREA = {
    "shape": (128, 140),
    "spacing": 14.0,
    "rotation": 5.0,
    "sigma_a": 2.3,
    "sigma_b": 2.3,
    "electrons_a": 2000.0,
    "electrons_b": 800.0,
    "background": 1.0,
    "displacement": (0.4, -0.3),
}
CHAIN = (
    ("columns", ColumnsParams()),
    ("lattice", LatticeParams()),
    ("displacement", DisplacementParams()),
    ("strain", StrainParams()),
    ("intensity", IntensityParams()),
)


def aligned(found):
    """Return the positions (frame, column, 2) in px, without the drift."""
    places = [(found[f"columns/{axis}"] - found[f"registration/shift_{axis}"][:, None]) / NM for axis in "yx"]
    return np.stack(places, axis=-1)


@pytest.fixture(scope="module")
def frames():
    return stack(10, drift=1.5, **AREA)


@pytest.fixture
def series(analysed, frames):
    return analysed(frames[0], ("registration", RegistrationParams()), *CHAIN, pixel_size=(NM, NM)).results


def test_a_site_keeps_its_index_in_all_frames(series, frames):
    truth = KDTree(frames[1].frame.positions)
    places = aligned(series)
    known = np.isfinite(places[..., 0])
    assert 0.7 < known.mean() < 1.0  # some enter the field, some leave it
    for site in range(places.shape[1]):
        off, which = truth.query(places[known[:, site], site])
        assert len(set(which)) <= 1
        assert (off < 1.0).all()
    means = [np.nanmean(place, axis=0) for place in places.swapaxes(0, 1) if np.isfinite(place).any()]
    assert len(set(truth.query(means)[1])) == len(means) > known[0].sum()
    assert len(means) > 0.85 * places.shape[1]  # the others lie at the border of all that the frames show


def test_cells_keep_their_indices_in_all_frames(series):
    for name in ("i", "j", "sublattice"):
        values = np.where(series[f"columns/{name}"] < 0, 99, series[f"columns/{name}"])
        least = values.min(axis=0)
        assert ((values == least) | (values == 99)).all()
    measured = np.isfinite(series["columns/y"])
    assert ((series["columns/i"] >= 0) == measured).all()


def test_the_mean_over_the_frames_is_as_good_as_their_number_says(series, frames):
    places = aligned(series)
    everywhere = np.isfinite(places[..., 0]).all(axis=0) & (series["columns/sublattice"][0] == 0)
    mean = places[:, everywhere].mean(axis=0)
    truth = frames[1].frame.positions
    error = mean - truth[KDTree(truth).query(mean)[1]]
    error -= error.mean(axis=0)  # of the first frame, which is the origin
    scatter = places[:, everywhere].std(axis=0, ddof=1)
    assert np.sqrt(np.mean(error**2)) == pytest.approx(np.sqrt(np.mean(scatter**2) / 10), rel=0.2)


def test_displacement_strain_and_intensity_follow(series):
    assert np.nanmean(series["displacement/u"]) == pytest.approx(0.4 * NM * 1e3, rel=0.03)
    assert np.nanmean(series["displacement/v"]) == pytest.approx(-0.3 * NM * 1e3, rel=0.03)
    known = np.isfinite(series["strain/exx"])
    assert known.sum() == np.isfinite(series["displacement/u"]).sum()
    pull = series["strain/exx"][known] / series["strain/exx_err"][known]
    assert np.std(pull) == pytest.approx(1.0, abs=0.15)
    a = (series["columns/sublattice"] == 0) & (series["columns/flag"] == 0)
    assert np.mean(series["intensity/gaussian"][a]) == pytest.approx(2000, rel=0.03)


def test_a_blank_frame_says_so(analysed, frames):
    broken = frames[0].copy()
    broken[4] = 0.0
    with pytest.raises(FrameError, match="the frame is blank"):
        analysed(broken, ("registration", RegistrationParams()), *CHAIN[:1])


def test_a_frame_of_something_else_says_so(analysed, frames):
    broken = frames[0].copy()
    broken[4] = np.random.default_rng(0).poisson(5.0, broken[4].shape)
    with pytest.raises(FrameError, match=r"doesn't show the area of the series.* set registration\.mode"):
        analysed(broken, ("registration", RegistrationParams()), *CHAIN[:1])


def test_without_a_lattice_on_the_average_frames_are_on_their_own(analysed):
    noise = np.random.default_rng(0).poisson(5.0, (3, 64, 64)).astype(np.float32)
    with pytest.raises(FrameError, match="no lattice"):
        analysed(noise, ("registration", RegistrationParams()), *CHAIN[:1])


def test_what_is_told_of_the_lattice_holds_for_a_series(analysed, frames):
    """Twice the cell along a, only its brightest column, or the distance."""

    def sites(**given):
        steps = ("registration", RegistrationParams()), ("columns", ColumnsParams(**given))
        found = analysed(frames[0][:4], *steps, pixel_size=(NM, NM)).results
        return found["columns/site_vectors"], set(found["columns/site_sublattice"][found["columns/site_i"] >= 0])

    usual, _ = sites()
    doubled = [[f"{x:.3f} nm" for x in vector[::-1]] for vector in (2 * usual[0], usual[1])]
    for given, times, kinds in (
        ({"sublattices": 1}, [1, 1], 1),
        ({"vectors": doubled, "sublattices": 4}, [2, 1], 4),
        ({"separation": "14 px"}, [1, 1], 2),
    ):
        vectors, kinds_found = sites(**given)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1) / np.linalg.norm(usual, axis=1), times, rtol=0.01)
        assert kinds_found == set(range(kinds))


def test_frames_of_different_areas_are_on_their_own(analysed):
    areas = [perovskite((96, 96), 12.0, rotation=angle, noise_seed=angle)[0] for angle in (0, 9, 19, 31, 40)]
    found = analysed(areas, ("registration", RegistrationParams()), *CHAIN[:1]).results
    assert found["columns/site_y"].shape == (0,)
    assert (np.isfinite(found["columns/y"]).sum(axis=1) > 60).all()


def test_independent_frames_find_their_own_columns(analysed, frames):
    found = analysed(frames[0][:3], ("registration", RegistrationParams(mode="independent")), *CHAIN[:1]).results
    assert "columns/site_y" not in found
    assert (np.isfinite(found["columns/y"]).sum(axis=1) > 140).all()


def test_turned_and_cropped_pixels_give_places_in_the_source(analysed, frames, series):
    prepared = PreprocessParams(rotate={"angle": 17.0, "pixels": True}, crop=(8, 10, 120, 130))
    found = analysed(
        frames[0][:4], ("preprocess", prepared), ("registration", RegistrationParams()), *CHAIN[:1], pixel_size=(NM, NM)
    ).results
    truth = KDTree(frames[1].frame.positions)
    places = aligned(found)
    off, _ = truth.query(places[np.isfinite(places[..., 0])])
    assert np.median(off) < 0.15
    assert np.quantile(off, 0.98) < 0.6


def test_dark_columns_are_followed_too(analysed, frames):
    dark = frames[0][:4].max() - frames[0][:4]
    found = analysed(
        dark, ("preprocess", PreprocessParams(invert=True)), ("registration", RegistrationParams()), *CHAIN[:1]
    ).results
    places = np.stack([found[f"columns/{axis}"] - found[f"registration/shift_{axis}"][:, None] for axis in "yx"], -1)
    off, _ = KDTree(frames[1].frame.positions).query(places[np.isfinite(places[..., 0])])
    assert np.median(off) < 0.15


@pytest.mark.long
def test_every_frame_has_the_halo_of_the_average(analysed):
    """Of columns of which a part of the counts lies in a Gaussian 2.2 times as wide."""
    look = AREA | {"shape": (200, 210), "spacing": 16.8, "rotation": 8.0, "displacement": (0.6, 0.3)}
    look |= {"electrons_a": 2e4, "electrons_b": 8e3}
    wide = {f"sigma_{s}": 2.2 * look[f"sigma_{s}"] for s in "ab"}
    core, halo = (perovskite(**how, noise=None, margin=40.0)[0] for how in (look, look | wide))
    random = np.random.default_rng(1)
    images = [random.poisson(0.8 * core + 0.2 * halo).astype(np.float32) for _ in range(6)]
    found = analysed(images, ("registration", RegistrationParams()), *CHAIN[:3], pixel_size=(NM, NM)).results
    part = found["columns/halo"]
    assert part[0] == pytest.approx(0.2, abs=0.08)
    assert (part == part[0]).all()
    assert np.nanmean(found["displacement/u"]) == pytest.approx(0.6 * NM * 1e3, rel=0.02)
    assert np.nanmean(found["displacement/v"]) == pytest.approx(0.3 * NM * 1e3, rel=0.04)
