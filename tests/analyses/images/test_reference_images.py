"""Real images, held to what was counted in them and to what atomap found."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from stemdask.analyses import chain
from stemdask.analyses.images.columns import ColumnsParams
from stemdask.analyses.images.displacement import DisplacementParams
from stemdask.analyses.images.lattice import LatticeParams
from stemdask.model import Step
from stemdask.sources.opening import open_source

pytestmark = pytest.mark.golden


def analysed(path, **columns):
    frame = open_source(path).read(0)
    steps = [
        Step("columns", ColumnsParams(**columns)),
        Step("lattice", LatticeParams()),
        Step("displacement", DisplacementParams()),
    ]
    return frame, chain.analyse("images", steps, frame)


@pytest.fixture(scope="module")
def barium_titanate(reference):
    frame, results = analysed(reference / "data" / "BTO_crystal_1.dm4")
    return frame, results, np.load(reference / "golden" / "atomap_BTO_crystal_1.npz")


def positions(frame, results, number):
    of = results["columns/sublattice"] == number
    return np.column_stack(
        [(results[f"columns/{a}"][of] - o) / s for a, o, s in zip("yx", frame.offset, frame.pixel_size, strict=True)]
    )


def test_the_columns_of_barium_titanate_are_all_found(barium_titanate):
    frame, results, golden = barium_titanate
    assert np.count_nonzero(results["columns/sublattice"] == 0) == pytest.approx(1054, rel=0.01)
    assert np.count_nonzero(results["columns/sublattice"] == 1) >= 970
    assert set(results["columns/sublattice"]) == {0, 1}
    assert len(results["displacement/u"]) == 990
    for number, name, limit in ((0, "Ba_xy_px", 0.2), (1, "Ti_xy_px", 0.3)):
        found = positions(frame, results, number)
        distance, which = KDTree(found).query(golden[name][:, ::-1])
        assert len(set(which)) == len(golden[name])
        assert np.median(distance) < limit
        assert distance.max() < 1.5


def test_the_lattice_of_barium_titanate_has_its_constants(barium_titanate):
    _, results, _ = barium_titanate
    a, b = (np.hypot(results[f"lattice/{v}_y"], results[f"lattice/{v}_x"]) for v in "ab")
    assert a == pytest.approx(0.399, abs=0.002)
    assert b == pytest.approx(0.380, abs=0.002)
    assert results["lattice/confidence"] > 0.9
    assert results["lattice/calibration"] == 0
    assert (results["columns/dislocation"] < 1).all()


def test_the_columns_of_strontium_titanate_are_all_found_and_none_is_invented(reference):
    frame, results = analysed(reference / "data" / "STO_ADF_experimental.hspy")
    # Counted in the picture: 13 rows of 9 strontium columns and of 8 titanium columns between them.
    assert np.count_nonzero(results["columns/sublattice"] == 0) == 13 * 9
    assert np.count_nonzero(results["columns/sublattice"] == 1) == 13 * 8
    assert set(results["columns/sublattice"]) == {0, 1}
    strontium, titanium = positions(frame, results, 0), positions(frame, results, 1)
    distance, _ = KDTree(strontium).query(titanium)
    np.testing.assert_allclose(distance, 21.0, atol=2.0)
