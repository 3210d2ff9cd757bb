"""The reference engine: right where columns stand alone, and known to be biased where they overlap."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree

from stemdask.adapters import atomap
from stemdask.analyses.images.columns.columns import ColumnsParams, measure
from stemdask.kernels.images.crystal.displacement import displacements
from stemdask.kernels.images.finding.columns import find_columns
from stemdask.simulate import MotifColumn, lattice_image, perovskite
from stemdask.sources.opening import open_source

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.slow
def test_isolated_columns_are_measured_with_their_shape() -> None:
    motif = (
        MotifColumn((0.0, 0.0), 20000.0, (3.0, 2.0, 0.4), 0),
        MotifColumn((0.5, 0.5), 6000.0, 2.2, 1),
    )
    image, truth = lattice_image((120, 130), [[0.0, 20.0], [20.0, 0.0]], motif, background=3.0)
    found = find_columns(image)
    fit = atomap.measure(image, found.positions, found.sublattice)
    a = found.interior & (found.sublattice == 0)
    assert np.median(KDTree(truth.positions).query(fit.positions[a])[0]) < 0.05
    assert np.median(fit.sigma_major[a]) == pytest.approx(3.0, rel=0.06)
    assert np.median(fit.sigma_minor[a]) == pytest.approx(2.0, rel=0.06)
    assert np.median(np.mod(fit.rotation[a] + 0.5, np.pi) - 0.5) == pytest.approx(0.4, abs=0.1)
    assert np.isnan(fit.errors).all()
    assert (fit.flag[a] == 0).all()


@pytest.mark.slow
def test_overlap_makes_its_displacements_too_large_and_not_those_of_the_joint_fit() -> None:
    image, _ = perovskite(
        (130, 140), 13.0, sigma_a=2.6, sigma_b=2.6, electrons_a=20000.0, electrons_b=8000.0, displacement=(0.5, 0.0)
    )
    found = find_columns(image)
    slopes = {}
    for engine in ("native", "atomap"):
        fit = measure(image, found, ColumnsParams(engine=engine))
        n = len(found.positions)
        vectors = displacements(fit.positions[:n], fit.errors[:n], found.sublattice, found.i, found.j).vector
        slopes[engine] = float(np.median(vectors[:, 0])) / 0.5
    assert slopes["native"] == pytest.approx(1.0, abs=0.04)
    assert slopes["atomap"] > 1.1


@pytest.mark.golden
@pytest.mark.slow
def test_in_a_real_image_it_finds_the_columns_that_it_found_by_itself(reference: Path) -> None:
    frame = open_source(reference / "data" / "BTO_crystal_1.dm4").read(0)
    corner = np.array([150, 150])
    image = frame.pixels[150:240, 150:245]
    found = find_columns(image, None)
    fit = measure(image, found, ColumnsParams(engine="atomap"))
    published = np.load(reference / "golden" / "atomap_BTO_crystal_1.npz")
    for sublattice, name in enumerate(("Ba_xy_px", "Ti_xy_px")):
        inner = found.interior & (found.sublattice == sublattice) & (fit.flag[: len(found.positions)] == 0)
        places = fit.positions[: len(found.positions)][inner] + corner
        distance, _ = KDTree(published[name][:, ::-1]).query(places)
        assert inner.sum() > 12
        assert distance.max() < 2  # of 13 px between columns: what atomap subtracts at the edges isn't the same
        assert np.median(distance) < 0.5
