"""Fields as patches of an image feel them: those of the splines, and the sums that transpose them."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.fitting.patch_fields import PatchFields, PatchSplines
from stemdask.kernels.images.fitting.smooth import Patches, SmoothBasis

SHAPE = (130, 90)
BACKGROUND, WIDTH = SmoothBasis(SHAPE, (5, 3)), SmoothBasis(SHAPE, (1, 1))
PATCHES = Patches.of(SHAPE, BACKGROUND, WIDTH)
FIELDS = PatchFields((PATCHES.fields(BACKGROUND), PATCHES.fields(WIDTH), PATCHES.fields(SmoothBasis(SHAPE, (0, 0)))))


def dense(field: PatchSplines) -> np.ndarray:
    """Return (t, l, size)."""
    return np.moveaxis(field.values(np.eye(field.size)), 0, -1)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("basis", [BACKGROUND, WIDTH, SmoothBasis(SHAPE, (0, 0))])
def test_value_and_slopes_are_those_of_the_field_at_the_centre_of_the_patch(basis: SmoothBasis) -> None:
    coefficients, centre, step = random(basis.size), PATCHES.centres, 1e-5
    (found,) = PATCHES.fields(basis).values(coefficients[None])
    np.testing.assert_allclose(found[:, 0], basis.values(coefficients, centre), atol=1e-12)
    for axis in (0, 1):
        away = step * np.eye(2)[axis]
        slope = (basis.values(coefficients, centre + away) - basis.values(coefficients, centre - away)) / (2.0 * step)
        np.testing.assert_allclose(found[:, 1 + axis], slope, atol=1e-7)


def test_fields_of_an_image_that_is_one_patch_have_no_slopes() -> None:
    even = SmoothBasis(SHAPE, (0, 0))
    assert Patches.of(SHAPE, even).fields(even).levels.shape == (1, 1, 1)


@pytest.mark.parametrize("field", FIELDS.each)
def test_sums_transpose_values(field: PatchSplines) -> None:
    of_patches, coefficients = random(2, *field.levels.shape[:2]), random(2, field.size)
    one = np.einsum("stl,stl->s", field.values(coefficients), of_patches)
    np.testing.assert_allclose(one, np.einsum("sc,sc->s", coefficients, field.sums(of_patches)))


@pytest.mark.parametrize("left", FIELDS.each)
@pytest.mark.parametrize("right", FIELDS.each)
def test_products_and_covariances_are_those_of_all_splines(left: PatchSplines, right: PatchSplines) -> None:
    between, among = random(len(PATCHES.centres), 3, 3), random(left.size, right.size)
    whole = np.einsum("tai,tab,tbj->ij", dense(left), between, dense(right))
    np.testing.assert_allclose(left.product(between, right), whole, atol=1e-10)
    values = np.einsum("ti,ij,tj->t", dense(left)[:, 0], among, dense(right)[:, 0])
    np.testing.assert_allclose(left.covariance(among, right), values, atol=1e-12)


def test_fields_together_are_each_by_itself_without_what_is_always_zero() -> None:
    fields = FIELDS.with_constants(2)
    coefficients = random(fields.ends[-1])
    each = np.split(coefficients, fields.ends[1:-1])
    whole = np.concatenate([one.values(c[None])[0] for one, c in zip(fields.each, each, strict=True)], axis=1)
    assert fields.used.tolist() == [0, 1, 2, 3, 4, 5, 6, 9, 12]  # a constant has no slopes
    np.testing.assert_allclose(fields.values(coefficients), whole[:, fields.used])
    of_patches = random(fields.n_patches, len(fields.used))
    np.testing.assert_allclose(np.vdot(fields.values(coefficients), of_patches), coefficients @ fields.sums(of_patches))
