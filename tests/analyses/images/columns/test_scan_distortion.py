import numpy as np
import pytest

from stemdask.analyses.images.columns.scan_distortion import ScanDistortionParams, outputs, run
from stemdask.model import ImageFrame
from stemdask.simulate import perovskite

NM = 0.03
SHAPE = (400, 420)
_, TRUTH = perovskite(SHAPE, 14.0, rotation=7.0, noise=None)


def measured(moved, remove=True, noise=0.05):
    """Run on columns of a perovskite, all of them moved by `moved` (px, along x) as a function of their place."""
    rng = np.random.default_rng(0)
    positions = TRUTH.positions + rng.normal(0, noise, TRUTH.positions.shape)
    positions[:, 1] += moved(TRUTH.positions)
    inside = ((positions > 5) & (positions < np.array(SHAPE) - 6)).all(axis=1)
    n = int(inside.sum())
    known = {
        "columns/y": positions[inside, 0] * NM,
        "columns/x": positions[inside, 1] * NM,
        "columns/y_err": np.full(n, noise * NM),
        "columns/x_err": np.full(n, noise * NM),
        "columns/sigma_minor": np.full(n, 2.5 * NM),
        "columns/sublattice": TRUTH.sublattice[inside],
        "columns/grain": np.zeros(n, np.int8),
        "columns/i": TRUTH.i[inside],
        "columns/j": TRUTH.j[inside],
    }
    frame = ImageFrame(0, np.zeros(SHAPE, np.float32), (NM, NM), results=known)
    found = run(frame, ScanDistortionParams(remove=remove))
    return TRUTH.positions[inside], positions[inside], found


def waves(at):
    return 0.3 * np.sin(2 * np.pi * at[:, 0] / 23)


def test_shifted_rows_are_found_in_pm_and_taken_out_of_all_columns():
    truth, positions, found = measured(waves)
    assert found["scan_distortion/row_x_rms"] == pytest.approx(0.3 / 2**0.5 * NM * 1e3, rel=0.15)
    assert found["scan_distortion/row_y_rms"] == 0.0
    y = np.arange(20, 380)
    assert np.corrcoef(found["scan_distortion/row_x"][y], np.sin(2 * np.pi * y / 23))[0, 1] > 0.97
    corrected = found["scan_distortion/corrected_x"] / NM
    before, after = np.std(positions[:, 1] - truth[:, 1]), np.std(corrected - truth[:, 1])
    assert before > 0.2
    assert after < 0.07


def test_the_start_of_each_row_is_straightened():
    truth, positions, found = measured(lambda at: 0.6 * np.exp(-at[:, 1] / 12))
    start = truth[:, 1] < 20
    left = np.std((found["scan_distortion/corrected_x"] / NM - truth[:, 1])[start])
    assert left < 0.6 * np.std((positions[:, 1] - truth[:, 1])[start])


def test_a_good_scan_is_left_as_it_is():
    _, positions, found = measured(lambda at: 0 * at[:, 0])
    assert found["scan_distortion/corrected_x"] == pytest.approx(positions[:, 1] * NM)
    assert not any(value.any() for path, value in found.items() if path.endswith("_rms"))


def test_positions_are_passed_on_only_where_that_is_asked_for():
    _, _, found = measured(waves, remove=False)
    assert set(found) == {variable.path for variable in outputs(ScanDistortionParams())}


def test_frames_without_columns_have_no_shifts():
    empty = {f"columns/{name}": np.zeros(0) for name in ("y", "x", "y_err", "x_err", "sigma_minor")}
    empty |= {f"columns/{name}": np.zeros(0, np.int32) for name in ("sublattice", "grain", "i", "j")}
    found = run(ImageFrame(0, np.zeros((50, 60)), (NM, NM), results=empty), ScanDistortionParams())
    assert found["scan_distortion/row_x"].shape == (50,)
    assert found["scan_distortion/flyback_y"].shape == (60,)
    assert found["scan_distortion/row_x_rms"] == 0.0
