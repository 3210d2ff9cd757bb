"""``preprocess: {rotate: ...}``: displacements and strain in turned coordinates, of pixels that stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stores

import stemdask as sd
from stemdask import simulate
from stemdask.analyses.images.cells.displacement import DisplacementParams
from stemdask.analyses.images.cells.strain import StrainParams
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.analyses.images.columns.lattice import LatticeParams
from stemdask.analyses.images.maps.displacement_maps import MapStack
from stemdask.analyses.images.stack.preprocess import PreprocessParams
from stemdask.analyses.images.stack.registration import RegistrationParams
from stemdask.analyses.images.stack.rotation import Turn

NM = 0.03
ANGLE = 30.0
CHAIN = (
    ("columns", ColumnsParams()),
    ("lattice", LatticeParams()),
    ("displacement", DisplacementParams()),
    ("strain", StrainParams()),
)


def test_a_quarter_turn_takes_right_to_up() -> None:
    turn = Turn.by(90.0, 5.0, 5.0)
    np.testing.assert_allclose(turn.onto(np.array([[5.0, 8.0]])), [[2.0, 5.0]])
    np.testing.assert_allclose(turn.back(turn.onto(np.array([[1.0, 2.0]]))), [[1.0, 2.0]])
    np.testing.assert_allclose(turn.spread(np.array([3.0, 4.0])), [4.0, 3.0])


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    pixels: np.ndarray = simulate.perovskite((180, 200), 14.0, displacement=(0.6, 0.1), seed=1)[0]
    return pixels


@pytest.fixture
def both(analysed: Callable[..., Any], image: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """Results without and with turned coordinates."""
    straight, turned = (
        analysed([image], ("preprocess", PreprocessParams(rotate=angle)), *CHAIN, pixel_size=(NM, NM)).results
        for angle in (0.0, ANGLE)
    )
    return straight, turned


def test_columns_are_the_same_to_the_last_bit(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    straight, turned = both
    for path in straight:
        if path.startswith(("columns/", "lattice/")):
            np.testing.assert_array_equal(turned[path], straight[path])
    assert turned["preprocess/valid_fraction"][0] == 1.0
    assert set(turned) - set(straight) == {f"preprocess/{name}" for name in ("rotation", "middle_y", "middle_x")}


def test_vectors_and_places_are_turned(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    straight, turned = both
    vectors, after = (of["displacement/u"][0] - 1j * of["displacement/v"][0] for of in both)  # y upwards
    np.testing.assert_allclose(after, vectors * np.exp(1j * np.deg2rad(ANGLE)), rtol=1e-9)
    middle = NM * 0.5 * (np.array([180, 200]) - 1)
    places, there = (np.column_stack([of["displacement/y"][0], of["displacement/x"][0]]) - middle for of in both)
    steps, after = (place[:, 1] - 1j * place[:, 0] for place in (places, there))
    np.testing.assert_allclose(after, steps * np.exp(1j * np.deg2rad(ANGLE)), atol=1e-9)
    for name in ("significant", "magnitude", "disagreement"):
        np.testing.assert_allclose(turned[f"displacement/{name}"], straight[f"displacement/{name}"])
    expected = (straight["displacement/angle"] + ANGLE + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(turned["displacement/angle"], expected)


def test_errors_hold_what_u_and_v_share(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Variances of all directions sum to the same; turned by 90 degrees u and v change places."""
    sums = [of["displacement/u_err"] ** 2 + of["displacement/v_err"] ** 2 for of in both]
    np.testing.assert_allclose(*sums)


def test_strain_is_along_the_turned_axes(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    cos, sin = np.cos(np.deg2rad(ANGLE)), np.sin(np.deg2rad(ANGLE))
    straight, turned = ({name: of[f"strain/{name}"][0] for name in ("exx", "eyy", "exy")} for of in both)
    # y upwards, exy has the other sign; a tensor turns by both of its indices.
    expected = cos**2 * straight["exx"] + sin**2 * straight["eyy"] + 2 * cos * sin * straight["exy"]
    np.testing.assert_allclose(turned["exx"], expected, atol=2e-4)
    for name in ("rotation", "c_over_a", "length_a"):
        if f"strain/{name}" in both[0]:
            np.testing.assert_allclose(both[1][f"strain/{name}"], both[0][f"strain/{name}"], atol=1e-6)


@pytest.mark.long
def test_cells_of_a_drifting_stack_stay_one_grid(analysed: Callable[..., Any]) -> None:
    frames, _ = simulate.stack(3, drift=9.0, seed=3, shape=(180, 180), spacing=14.0)
    steps = ("registration", RegistrationParams(mode="independent")), *CHAIN[:3]
    found = [
        MapStack(analysed(frames, ("preprocess", PreprocessParams(rotate=angle)), *steps, pixel_size=(NM, NM)))
        for angle in (0.0, 40.0)
    ]
    np.testing.assert_array_equal(found[0].steps, found[1].steps)
    assert found[0].shape == found[1].shape


@pytest.mark.long
def test_figures_and_layers_lay_turned_cells_over_the_image(tmp_path: Path) -> None:
    source = stores.write_stack(tmp_path / "stack.npy", 1)
    analyses = {"preprocess": {"rotate": 25}, "columns": {}, "lattice": {}, "displacement": {}}
    tree = sd.open_results(stores.run(source, tmp_path / "a.zarr", analyses, "0.0297 nm"))
    layers = {options["name"]: (data, options) for data, options, _ in tree.stemdask.to_napari()}
    arrows, options = layers["displacement"]
    middles = np.column_stack([arrows[:, 0], np.ones(len(arrows))])
    homogeneous = np.column_stack([arrows[:, 0], np.ones(len(arrows))]) @ options["affine"].T
    table = tree.stemdask.table("columns")
    b = table[["y", "x"]].to_numpy()[tree.stemdask.table("displacement")["column"]]
    assert np.hypot(*(homogeneous[:, 1:3] - b).T).max() < 0.03  # nm: a displacement of 0.6 px, and its noise
    assert np.hypot(*(middles[:, 1:3] - b).T).max() > 0.3
    assert "affine" not in layers["columns"][1]
    axes = tree.stemdask.plot.displacement().axes[0]
    left, right, *_ = axes.images[0].get_extent()
    assert right - left > 160 * 0.0297  # the image is drawn turned
