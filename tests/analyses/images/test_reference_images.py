"""Real images, held to what was counted in them and to what atomap found."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree

from stemdask.analyses import chain
from stemdask.analyses.images.cells.displacement import DisplacementParams
from stemdask.analyses.images.columns.columns import ColumnsParams, measure
from stemdask.analyses.images.columns.lattice import LatticeParams
from stemdask.kernels.images.finding.columns import find_columns
from stemdask.kernels.images.fitting.column_fit import OK
from stemdask.model import Step
from stemdask.sources.opening import open_source

pytestmark = pytest.mark.golden


def analysed(path, cut=..., **columns):
    """Analyse the first frame of a file, or a part of it, as a run does."""
    frame = open_source(path).read(0)
    frame = replace(frame, pixels=np.ascontiguousarray(frame.pixels[cut]))
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


def test_cores_of_a_boundary_and_a_hole_are_gaps_and_a_perfect_crystal_has_none(reference):
    """Eight dark cores lie along the boundary in gold; the molybdenum disulphide has one hole, 60 px wide."""
    _, gold = analysed(reference / "data" / "gallery" / "Grain_boundry_gold_512px.png")
    assert gold["lattice/n_gaps"] in (7, 8)  # the topmost lies half outside
    beside = np.array([gold[f"columns/{axis}"][gold["columns/beside_gap"] == 1] for axis in "yx"])
    # The boundary runs straight from (45, 172) to (481, 319).
    (dy, dx), away = (481 - 45, 319 - 172), beside - np.array([[45], [172]])
    off = np.abs(dy * away[1] - dx * away[0]) / np.hypot(dy, dx)
    assert off.max() < 40
    around_it = np.s_[500:860, 360:740]
    frame, hole = analysed(reference / "data" / "gallery" / "example_Se_implanted_MoS2.dm3", around_it)
    assert hole["lattice/n_gaps"] == 1
    assert hole["lattice/widest_gap"] / frame.pixel_size[0] == pytest.approx(32, abs=3)
    _, titanate = analysed(reference / "data" / "BTO_crystal_1.dm4")
    assert titanate["lattice/n_gaps"] == 0
    assert not titanate["columns/beside_gap"].any()


def of_neighbours(positions, spacing):
    """Scatter of second differences along each lattice line, as that of one position along one axis."""
    tree = KDTree(positions)
    steps = (positions[tree.query(positions, k=5)[1][:, 1:]] - positions[:, None]).reshape(-1, 2)
    found = []
    for axis in (0, 1):
        step = np.median(steps[steps[:, axis] > 0.9 * spacing], axis=0)
        (before, left), (after, right) = tree.query(positions - step), tree.query(positions + step)
        both = (before < 3) & (after < 3)
        second = positions[left[both]] + positions[right[both]] - 2 * positions[both]
        found.append(1.4826 * np.median(np.abs(second - np.median(second, axis=0)), axis=0) / np.sqrt(6))
    return float(np.mean(found))


def stated(pattern):
    """Return the numbers of a sentence on the page on accuracy."""
    page = (Path(__file__).parents[3] / "docs" / "accuracy.md").read_text(encoding="utf-8")
    found = re.search(pattern, " ".join(page.split()))
    assert found, pattern
    return [float(number) for number in found.groups()]


def test_the_page_on_accuracy_describes_barium_titanate_as_it_is(barium_titanate):
    frame, results, golden = barium_titanate
    kurtosis, *coma, narrower = stated(r"kurtosis (-[\d.]+), coma \(([\d.]+), ([\d.]+)\), B (\d+) % narrower")
    assert results["columns/kurtosis"] == pytest.approx(kurtosis, abs=0.02)
    assert [results["columns/coma_y"], results["columns/coma_x"]] == pytest.approx(coma, abs=0.004)
    a, b = (results["columns/sublattice"] == number for number in (0, 1))
    width = np.sqrt(results["columns/sigma_major"] * results["columns/sigma_minor"])
    assert 100 * (1 - np.median(width[b]) / np.median(width[a])) == pytest.approx(narrower, abs=1)
    low, high = stated(r"reduced χ² is (\d) to (\d)")
    assert low <= round(float(np.median(results["columns/reduced_chi2"]))) <= high
    away = stated(r"are ([\d.]+) px \(A\) and ([\d.]+) px \(B, median\) from those of atomap")
    ours = stated(r"scatter by ([\d.]+) pm \(A\) and ([\d.]+) pm \(B\)")
    theirs = stated(r"those of atomap by ([\d.]+) and ([\d.]+) pm")
    pixel = 1e3 * frame.pixel_size[0]
    for number, name in enumerate(("Ba_xy_px", "Ti_xy_px")):
        found, reference = positions(frame, results, number), golden[name][:, ::-1]
        assert np.median(KDTree(found).query(reference)[0]) == pytest.approx(away[number], abs=0.01)
        assert pixel * of_neighbours(found, 12.0) == pytest.approx(ours[number], abs=0.1)
        assert pixel * of_neighbours(reference, 12.0) == pytest.approx(theirs[number], rel=0.1)


def test_the_page_on_accuracy_describes_strontium_titanate_as_it_is(reference):
    _, results = analysed(reference / "data" / "STO_ADF_experimental.hspy")
    (number,) = stated(r"All (\d+) columns inside the image are fitted \(flag `ok`\)")
    assert (results["columns/flag"] == OK).sum() == len(results["columns/flag"]) == number


def local_scatter(barium, titanium, pixel):
    """Scatter of each titanium's displacement from its four neighbours' median, in pm: (along y, along x)."""
    distance, around = KDTree(barium).query(titanium, k=4)
    centred = distance[:, 3] < 1.25 * np.median(distance)
    titanium = titanium[centred]
    displacement = 1e3 * pixel * (titanium - barium[around[centred]].mean(axis=1))
    distance, beside = KDTree(titanium).query(titanium, k=5)
    inner = distance[:, 4] < 1.2 * np.median(distance[:, 1:])
    difference = displacement[inner] - np.median(displacement[beside[inner, 1:]], axis=1)
    deviation = np.median(np.abs(difference - np.median(difference, axis=0)), axis=0)
    return 1.4826 * deviation / np.sqrt(1.25), np.count_nonzero(inner)


@pytest.mark.parametrize("start", ["found", "atomap"])
def test_neighbouring_titanium_columns_are_displaced_alike_from_wherever_the_fit_starts(reference, start):
    frame = open_source(reference / "data" / "BTO_crystal_1.dm4").read(0)
    golden = np.load(reference / "golden" / "atomap_BTO_crystal_1.npz")
    golden = [golden[name][:, ::-1] for name in ("Ba_xy_px", "Ti_xy_px")]
    found = find_columns(frame.pixels, None)
    if start == "atomap":
        positions = found.positions.copy()
        for columns in golden:
            positions[KDTree(positions).query(columns)[1]] = columns
        found = replace(found, positions=positions)
    fit = measure(frame.pixels, found, ColumnsParams())
    fitted = [fit.positions[(fit.flag == OK) & (fit.sublattice == s)] for s in (0, 1)]
    pixel = np.array(frame.pixel_size)
    (ours, n), (theirs, _) = local_scatter(*fitted, pixel), local_scatter(*golden, pixel)
    rms = [float(np.sqrt(np.mean(scatter**2))) for scatter in (ours, theirs)]
    print(
        f"displacement of {n} titanium columns scatters by {ours.round(2)}, RMS {rms[0]:.2f} pm; atomap's {rms[1]:.2f}"
    )
    assert n > 850
    assert rms[0] <= 1.8
    assert rms[0] < 0.6 * rms[1]
