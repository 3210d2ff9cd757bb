import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemdask.kernels.images.crystal.strain import (
    cell_vectors,
    complete_cells,
    lattice_parameters,
    oriented_reference,
    strain_of,
)

A0 = np.array([[0.02, 0.40], [0.41, -0.01]])  # a to the right, b downwards, (y, x)
ROW, COL = (index.ravel() for index in np.mgrid[0:7, 0:9])


def deformed(deformation, cells=(COL, ROW)):
    """Move the reference lattice by F in (x, y)."""
    xy = (cells[0][:, None] * A0[0] + cells[1][:, None] * A0[1])[:, ::-1]
    return (xy @ np.asarray(deformation).T)[:, ::-1]


def measured(positions, errors=None, i=COL, j=ROW):
    errors = np.zeros_like(positions) if errors is None else errors
    return cell_vectors(positions, errors, i, j, complete_cells(i, j))


def turned(angle):
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[cos, sin], [-sin, cos]])  # counter-clockwise as displayed, y down


small = st.floats(-0.08, 0.08)


@settings(max_examples=50, deadline=None)
@given(exx=small, eyy=small, exy=small, angle=st.floats(-170, 170))
def test_any_strain_and_rotation_are_recovered_exactly(exx, eyy, exy, angle):
    stretch = np.array([[1 + exx, exy], [exy, 1 + eyy]])
    found = strain_of(measured(deformed(turned(angle) @ stretch)), A0)
    assert found.exx.shape == (48,)
    assert np.allclose(found.exx, exx, atol=1e-9)
    assert np.allclose(found.eyy, eyy, atol=1e-9)
    assert np.allclose(found.exy, exy, atol=1e-9)
    assert np.allclose(found.rotation, angle, atol=1e-7)


def test_a_shift_of_everything_is_no_strain():
    found = strain_of(measured(deformed(np.eye(2)) + np.array([3.0, -8.0])), A0)
    assert np.abs([found.exx, found.eyy, found.exy, found.rotation]).max() < 1e-12


def test_standard_errors_are_the_scatter():
    rng = np.random.default_rng(0)
    deformation = turned(30) @ np.array([[1.03, 0.02], [0.02, 0.98]])
    clean = deformed(deformation)
    errors = np.column_stack([np.full(len(clean), 0.003), np.full(len(clean), 0.001)])
    names = ("exx", "eyy", "exy", "rotation")
    truth = strain_of(measured(clean), A0)
    pulls = []
    for _ in range(60):
        found = strain_of(measured(clean + errors * rng.normal(size=clean.shape), errors), A0)
        pulls.append([(getattr(found, name) - getattr(truth, name)) / getattr(found, f"{name}_err") for name in names])
    assert np.sqrt(np.mean(np.square(pulls), axis=(0, 2))) == pytest.approx(np.ones(4), abs=0.06)


def test_lattice_parameters_and_their_errors():
    rng = np.random.default_rng(1)
    clean = deformed(np.eye(2))
    errors = np.full(clean.shape, 0.002)
    a, b = np.linalg.norm(A0, axis=1)
    truth = lattice_parameters(measured(clean))
    assert np.allclose(truth.a, a)
    assert np.allclose(truth.b, b)
    assert np.allclose(truth.ratio, b / a)
    gamma = np.rad2deg(np.arccos(A0[0] @ A0[1] / (a * b)))
    assert np.allclose(truth.gamma, gamma)
    assert np.allclose(truth.spacing_a, b * np.sin(np.deg2rad(gamma)))
    assert np.allclose(truth.spacing_b, a * np.sin(np.deg2rad(gamma)))
    pulls = []
    for _ in range(60):
        found = lattice_parameters(measured(clean + errors * rng.normal(size=clean.shape), errors))
        pulls.append(
            [
                (getattr(found, name) - getattr(truth, name)) / getattr(found, f"{name}_err")
                for name in ("a", "b", "ratio")
            ]
        )
    assert np.sqrt(np.mean(np.square(pulls), axis=(0, 2))) == pytest.approx(np.ones(3), abs=0.07)


def test_bent_rows_have_the_curvature_of_their_circle():
    radius = 60.0
    positions = deformed(np.eye(2))
    positions[:, 0] += positions[:, 1] ** 2 / (2 * radius)  # bends downwards, towards +b
    cells = measured(positions)
    inner = np.isfinite(cells.curvature_a)
    assert inner.sum() == 6 * 6  # needs a column before and one after
    assert cells.curvature_a[inner] == pytest.approx(1 / radius, rel=0.02)
    assert np.abs(cells.curvature_b[np.isfinite(cells.curvature_b)]).max() < 0.1 / radius


def test_cells_with_a_missing_corner_are_left_out():
    there = ~((COL == 3) & (ROW == 2))
    i, j = COL.copy(), ROW.copy()
    i[~there] = -1
    cells = complete_cells(i, j)
    assert len(cells) == 48 - 4
    assert not {(3, 2), (2, 2), (3, 1), (2, 1)} & set(map(tuple, cells))
    asked = cell_vectors(deformed(np.eye(2)), np.zeros((63, 2)), i, j, np.array([[3, 2], [0, 0], [8, 6], [-5, 40]]))
    assert np.array_equal(np.isnan(asked.a[:, 0]), [True, False, True, True])


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_too_few_columns_have_no_cells_and_no_warning(n):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cells = measured(deformed(np.eye(2))[:n], i=COL[:n], j=ROW[:n])
        assert strain_of(cells, A0).exx.shape == (0,)
        assert lattice_parameters(cells).a.shape == (0,)


def test_a_given_reference_lies_like_the_measured_lattice():
    like = A0 @ turned(25).T[::-1, ::-1]
    reference = oriented_reference(0.39, 0.42, 90.0, like)
    assert np.linalg.norm(reference, axis=1) == pytest.approx((0.39, 0.42))
    assert reference[0] @ reference[1] == pytest.approx(0, abs=1e-12)
    positions = COL[:, None] * like[0] + ROW[:, None] * like[1]
    assert np.abs(strain_of(measured(positions), reference).rotation).max() < 1e-9
