"""The matrix of the normal equations is that of its parts, however it is multiplied."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.images.fitting import image_fit
from stemdask.kernels.images.fitting.column_model import ColumnModel, Widths
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.fitting.normal_equations import NormalEquations
from stemdask.simulate import perovskite


def of_a_fit(widths: Widths, monkeypatch: pytest.MonkeyPatch) -> NormalEquations:
    kept: list[NormalEquations] = []
    solve = image_fit.covariances

    def keeping(equations: NormalEquations) -> object:
        kept.append(equations)
        return solve(equations)

    monkeypatch.setattr(image_fit, "covariances", keeping)
    image, truth = perovskite((90, 100), 14.0, sigma_a=2.5, sigma_b=2.5, seed=3)
    fit_joint(image, truth.positions, truth.sublattice, 2.6, noise="poisson", model=ColumnModel(widths=widths))
    return kept[-1]


@pytest.mark.parametrize(("widths", "size"), [("shared", 3), ("free", 6)])
def test_it_multiplies_columns_by_their_own_blocks_and_by_those_of_pairs(
    widths: Widths, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    equations = of_a_fit(widths, monkeypatch)
    x = np.random.default_rng(0).normal(size=(len(equations.own), size))
    expected = np.einsum("kab,kb->ka", equations.own, x)
    for (first, second), block in zip(equations.pairs, equations.coupling, strict=True):
        expected[first] += block @ x[second]
        expected[second] += block.T @ x[first]
    found, _ = equations.apply(x, np.zeros(len(equations.among_fields)))
    assert len(equations.pairs) > len(x)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("widths", ["shared", "free"])
def test_it_is_symmetric(widths: Widths, monkeypatch: pytest.MonkeyPatch) -> None:
    equations, rng = of_a_fit(widths, monkeypatch), np.random.default_rng(1)
    x, y = (rng.normal(size=equations.own.shape[:2]) for _ in range(2))
    xf, yf = (rng.normal(size=len(equations.among_fields)) for _ in range(2))
    (ax, axf), (ay, ayf) = equations.apply(x, xf), equations.apply(y, yf)
    assert np.vdot(y, ax) + yf @ axf == pytest.approx(np.vdot(x, ay) + xf @ ayf, rel=1e-9)
