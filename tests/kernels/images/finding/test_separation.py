import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stemdask.kernels.images.finding.separation import (
    NoLatticeError,
    TooFewCellsError,
    estimate_lattice,
    reduce_vectors,
    scored_lattices,
)
from stemdask.simulate import MotifColumn, lattice_image, perovskite


def lengths(vectors: object) -> list[float]:
    return sorted([float(np.hypot(*vectors.a)), float(np.hypot(*vectors.b))])  # type: ignore[attr-defined]


@pytest.mark.parametrize("rotation", [0.0, 17.0, 45.0, 80.0])
@pytest.mark.parametrize("spacing", [6.0, 14.0, 60.0])
def test_the_separation_is_the_distance_of_like_columns(spacing: float, rotation: float) -> None:
    sigma = 0.18 * spacing
    image, _ = perovskite((512, 512), spacing, rotation=rotation, sigma_a=sigma, sigma_b=sigma, electrons_b=1000.0)
    found = estimate_lattice(image)
    np.testing.assert_allclose(lengths(found), spacing, rtol=0.015)
    assert found.confidence > 0.8


def test_a_honeycomb_has_the_cell_of_its_lattice_not_of_its_bonds() -> None:
    basis = 16.0 * np.array([[0.0, 1.0], [np.sqrt(0.75), 0.5]])
    motif = (MotifColumn((1 / 3, 1 / 3), 3000, 2.0, 0), MotifColumn((2 / 3, 2 / 3), 3000, 2.0, 1))
    image, _ = lattice_image((300, 300), basis, motif, background=5.0)
    np.testing.assert_allclose(lengths(estimate_lattice(image)), 16.0, rtol=0.01)


def test_a_range_excludes_what_lies_outside() -> None:
    image, _ = perovskite((256, 256), 14.0)
    assert estimate_lattice(image, (12.0, 16.0)).separation == pytest.approx(14.0, rel=0.01)
    with pytest.raises(NoLatticeError, match="4 to 9 px"):
        estimate_lattice(image, (4.0, 9.0))


def test_the_lattices_of_a_range_are_scored_and_the_primitive_one_is_first() -> None:
    image, _ = perovskite((256, 256), 14.0)
    scored = scored_lattices(image, (8.0, 34.0))
    np.testing.assert_allclose(lengths(scored[0]), 14.0, rtol=0.01)
    assert scored[0].confidence > 0.8
    assert len(scored) > 1
    assert all(8.0 <= one.separation <= 34.0 for one in scored)
    assert scored_lattices(image, (4.0, 9.0)) == []


def rings(rng: np.random.Generator) -> np.ndarray:
    f = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512))
    return np.fft.ifft2(np.fft.fft2(rng.normal(size=(512, 512))) * np.exp(-(((f - 0.08) / 0.008) ** 2))).real


@pytest.mark.parametrize(
    "texture",
    [
        lambda rng: rng.normal(size=(512, 512)),
        lambda rng: rng.poisson(3.0, (512, 512)),
        lambda rng: gaussian_filter(rng.normal(size=(512, 512)), 2.0),
        lambda rng: gaussian_filter(rng.normal(size=(300, 400)), 5.0),
        rings,
        lambda rng: np.sin(np.arange(512) / 2.0) + rng.normal(size=(512, 512)),
        lambda rng: np.ones((64, 64)),
        lambda rng: np.full((64, 64), np.nan),
        lambda rng: np.linspace(0, 1, 300)[:, None] * np.ones(300),
    ],
    ids=["noise", "counts", "speckle", "coarse speckle", "amorphous ring", "fringes", "flat", "NaN", "ramp"],
)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_no_crystal_is_refused(texture: object, seed: int) -> None:
    with pytest.raises(NoLatticeError, match=r"lattice|vectors"):
        estimate_lattice(texture(np.random.default_rng(seed)).astype(np.float32))  # type: ignore[operator]


def test_a_particle_in_vacuum_has_the_lattice_of_the_particle() -> None:
    rows, columns = np.indices((400, 400))
    image, _ = perovskite((400, 400), 14.0, rotation=20.0, vacuum=np.hypot(rows - 200, columns - 180) > 90)
    np.testing.assert_allclose(lengths(estimate_lattice(image)), 14.0, rtol=0.02)


def test_reduction_finds_the_shortest_vectors() -> None:
    a, b = np.array([0.0, 10.0]), np.array([12.0, 1.0])
    reduced = reduce_vectors(b + 7 * a, 3 * b + 22 * a)
    assert sorted(np.hypot(*v) for v in reduced) == pytest.approx([10.0, np.hypot(12, 1)])


def test_a_cell_that_repeats_beyond_the_longest_lag_is_found_in_coarser_pixels() -> None:
    fractions = [(0.0, 0.0), (0.5, 0.5), (0.17, 0.67), (0.83, 0.33), (0.33, 0.17), (0.67, 0.83), (0.5, 0.1), (0.1, 0.5)]
    motif = tuple(MotifColumn(at, 5000.0 - 300.0 * k, 6.0, k) for k, at in enumerate(fractions))
    image, _ = lattice_image((700, 720), [[0.0, 130.0], [130.0, 0.0]], motif, background=2.0)
    np.testing.assert_allclose(lengths(estimate_lattice(image)), 130.0, rtol=0.01)


@pytest.mark.parametrize("cells", [2.4, 6.0])
def test_an_image_of_too_few_cells_says_so(cells: float) -> None:
    side = 66.0
    image, _ = perovskite((round(cells * side), round(1.3 * cells * side)), side, sigma_a=12.0, sigma_b=12.0)
    if cells > 4.0:
        assert estimate_lattice(image).separation == pytest.approx(side, rel=0.02)
        return
    with pytest.raises(TooFewCellsError, match=r"what repeats after 6\d and 6\d px does so too seldom in 158 × 206 px"):
        estimate_lattice(image)
    with pytest.raises(NoLatticeError) as noise:
        estimate_lattice(np.random.default_rng(0).normal(size=image.shape).astype(np.float32))
    assert not isinstance(noise.value, TooFewCellsError)
