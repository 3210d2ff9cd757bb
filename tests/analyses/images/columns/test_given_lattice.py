"""Keys of `columns` by which a user overrules the lattice, and what is refused of overlapping columns."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask import simulate
from stemdask.analyses import chain, registry
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.errors import FrameError
from stemdask.model import ImageFrame, Step

PIXEL = 0.02


def analysed(spacing: float = 14.0, **params: object) -> dict[str, np.ndarray]:
    image, _ = simulate.perovskite((200, 200), spacing, rotation=5.0, sigma_a=2.4, sigma_b=2.4, seed=4)
    steps = [Step("columns", ColumnsParams(**params)), Step("lattice", registry.get("images", "lattice").params())]
    return chain.analyse("images", steps, ImageFrame(0, image, (PIXEL, PIXEL)))


def test_vectors_are_given_in_px_or_nm_with_y_downwards() -> None:
    usual = analysed()
    vectors = [[usual[f"lattice/{name}_{axis}"] / PIXEL for axis in "xy"] for name in "ab"]
    in_px = analysed(vectors=[[f"{float(one):.1f} px" for one in vector] for vector in vectors])
    in_nm = analysed(vectors=[[f"{PIXEL * float(one):.3f} nm" for one in vector] for vector in vectors])
    for found in (in_px, in_nm):
        np.testing.assert_allclose(found["columns/x"], usual["columns/x"], atol=1e-6)
        np.testing.assert_array_equal(found["columns/sublattice"], usual["columns/sublattice"])


def test_only_so_many_sublattices_are_taken() -> None:
    assert set(analysed(sublattices=1)["columns/sublattice"]) == {0}


def test_vectors_that_do_not_fit_say_how_they_are_written() -> None:
    with pytest.raises(FrameError, match="no lattice") as caught:
        analysed(vectors=[["9.1 px", "0 px"], ["0 px", "9.1 px"]])
    assert "[x, y]" in str(caught.value.remedy)


@pytest.mark.parametrize("refinement", ["gaussian", "centre_of_mass"])
def test_overlapping_columns_are_not_measured_one_by_one(refinement: str) -> None:
    with pytest.raises(FrameError, match="overlap") as caught:
        analysed(14.0, refinement=refinement)
    assert "joint" in str(caught.value.remedy)
    assert len(analysed(22.0, refinement=refinement)["columns/x"]) > 100


def test_overlap_of_like_columns_is_none_of_its_business() -> None:
    """A column between alike neighbours is pulled to all sides."""
    assert len(analysed(11.0, refinement="gaussian", sublattices=1)["columns/x"]) > 100
