"""The mean of displacements is known as far as the shape of the columns is."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.fitting.mean_cell_shapes import FAMILIES, moves_by_shape

A, B, WIDTH = np.array([0.4, 13.0]), np.array([12.6, -0.3]), 2.6
PLACES = np.array([[0.0, 0.0], [6.6, 6.5]])
HEIGHTS = np.array([1.0, 0.4])
OFF = np.array([[0.1, 0.0], [0.3, -0.2]])


def cell(coma: float = 0.0, halo: float = 0.0, trefoil: float = 0.0) -> np.ndarray:
    """Draw a mean cell of two columns at PLACES that share a shape, its asymmetry along x."""
    s, t = np.meshgrid(np.arange(13) / 13, np.arange(13) / 13, indexing="ij")
    pixels = s[..., None] * A + t[..., None] * B
    steps = np.arange(-6, 7)
    image = np.full(s.shape, 0.1)
    for place, height in zip(PLACES, HEIGHTS, strict=True):
        for i in steps:
            for j in steps:
                y, x = np.moveaxis((pixels - place - i * A - j * B) / WIDTH, -1, 0)
                r2 = y * y + x * x
                odd = coma * x * (r2 - 4.0) + trefoil * (x**3 - 3.0 * x * y * y)
                image += height * (np.exp(-0.5 * r2) * (1.0 + odd) + halo * np.exp(-0.5 * r2 / 2.2**2) / 2.2**2)
    return image


def between(image: np.ndarray, start: np.ndarray = PLACES, width: float = 1.1 * WIDTH) -> np.ndarray:
    """Return for each family where B is against A, less where it truly is (families, 2)."""
    moves = moves_by_shape(image, A, B, start, HEIGHTS, width)
    return (start + moves)[:, 1] - (start + moves)[:, 0] - (PLACES[1] - PLACES[0])


@pytest.mark.parametrize(("wider", "most"), [(1.0, 1e-4), (1.1, 0.05)])
def test_gaussians_are_where_they_are_and_near_with_another_width(wider: float, most: float) -> None:
    """At 3.5 widths a width that is wrong by a tenth is made up for by kurtosis to 3e-4 of the height."""
    found = between(cell(), PLACES + OFF, wider * WIDTH)
    assert len(found) == len(FAMILIES)
    np.testing.assert_allclose(found, 0.0, atol=most)


@pytest.mark.parametrize(
    ("shape", "families"),
    [
        ({"coma": 0.05}, list(FAMILIES)),
        ({"coma": 0.05, "trefoil": 0.03}, ["trefoil"]),
        ({"coma": 0.05, "halo": 0.1}, ["a halo"]),
    ],
)
def test_a_family_that_holds_the_shape_finds_the_place(shape: dict[str, float], families: list[str]) -> None:
    found = dict(zip(FAMILIES, between(cell(**shape)), strict=True))
    for family in families:
        np.testing.assert_allclose(found[family], 0.0, atol=0.01)


def test_families_differ_where_the_shape_is_in_none_of_them() -> None:
    found = between(cell(coma=0.05, halo=0.15, trefoil=0.04))
    assert np.ptp(found, axis=0).max() > 0.05
    assert np.abs(found).max() < 3.0 * np.abs(found - found[0]).max()


def test_a_cell_without_columns_is_no_crash() -> None:
    noise = np.random.default_rng(0).normal(size=(13, 13))
    assert moves_by_shape(noise, A, B, PLACES, HEIGHTS, WIDTH).shape == (len(FAMILIES), 2, 2)
