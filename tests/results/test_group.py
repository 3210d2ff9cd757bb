"""A group of a store as a dataset, and what it gives other programs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import stemdask as sd
from stemdask.errors import StoreError
from stemdask.results import group as group  # registers `dataset.stemdask`
from stemdask.results import layers


def cells(**more: object) -> xr.Dataset:
    """Two frames of up to three cells; the first frame has two, the second the same and one more."""
    dims = ("frame", "cell")
    nan = np.nan
    coordinates = {
        "n_cells": ("frame", [2, 3]),
        "i": (dims, [[0, 1, -1], [0, 1, 2]]),
        "j": (dims, [[5, 5, -1], [5, 5, 5]]),
        "y": (dims, [[1.0, 1.0, nan], [1.0, 1.0, 1.0]], {"units": "nm"}),
        "x": (dims, [[0.0, 0.4, nan], [0.0, 0.4, 0.8]], {"units": "nm"}),
    }
    values = {
        "u": (dims, [[10.0, 12.0, nan], [11.0, 13.0, 15.0]], {"units": "pm"}),
        "v": (dims, [[0.0, 1.0, nan], [0.0, nan, 2.0]], {"units": "pm"}),
        "noise_floor": ("frame", [1.0, 2.0]),
    }
    return xr.Dataset(values | more, coordinates)


def test_a_table_leaves_out_the_padding_unless_it_is_asked_for() -> None:
    assert cells().stemdask.table()[["frame", "cell"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2]]
    padded = cells().stemdask.table(ragged=False)
    assert len(padded) == 6
    assert np.isnan(padded["u"][2])


def test_a_table_begins_with_what_tells_its_rows_apart() -> None:
    assert list(cells().stemdask.table()) == ["frame", "cell", "i", "j", "y", "x", "u", "v", "noise_floor"]


def test_a_table_of_some_frames_has_their_rows() -> None:
    assert cells().isel(frame=[1]).stemdask.table()["u"].tolist() == [11.0, 13.0, 15.0]
    assert cells().isel(frame=0).stemdask.table()["u"].tolist() == [10.0, 12.0]


def test_a_dataset_that_lost_its_numbers_of_items_is_refused_in_words() -> None:
    bare = cells().drop_vars("n_cells")
    with pytest.raises(StoreError, match=r"doesn't say how many items[\s\S]*open_results"):
        bare.stemdask.table()
    assert len(bare.stemdask.table(ragged=False)) == 6


def test_a_cell_is_followed_by_its_indices_over_the_frames_that_have_it() -> None:
    both = cells().stemdask.select(1, 5)
    assert both["u"].values.tolist() == [12.0, 13.0]
    last = cells().stemdask.select(i=2, j=5)
    assert (last["frame"].values.tolist(), last["u"].values.tolist()) == ([1], [15.0])
    with pytest.raises(StoreError, match=r"no cell has these indices[\s\S]*i = 7, j = 5"):
        cells().stemdask.select(7, 5)
    with pytest.raises(StoreError, match="no cell has these indices"):
        cells().stemdask.select(-1, -1)  # padding


def test_columns_that_share_a_cell_are_told_apart_by_another_variable() -> None:
    shared = cells(sublattice=(("frame", "cell"), [[0, 1, -1], [0, 1, 2]])).assign_coords(
        i=(("frame", "cell"), [[0, 0, -1], [0, 0, 0]])
    )
    with pytest.raises(StoreError, match=r"several cells of one frame have these indices[\s\S]*sublattice=1"):
        shared.stemdask.select(0, 5)
    assert shared.stemdask.select(0, 5, sublattice=1)["u"].values.tolist() == [12.0, 13.0]
    with pytest.raises(StoreError, match="no grain"):
        shared.stemdask.select(0, 5, grain=0)


def test_displacements_are_arrows_at_their_true_length_times_a_factor() -> None:
    data, options, kind = cells().stemdask.to_napari("displacement")
    assert (kind, options["name"]) == ("vectors", "displacement")
    assert data.shape == (4, 2, 3)  # a cell without a displacement has no arrow
    np.testing.assert_allclose(data[1], [[0, 1.0, 0.4], [0, 0.001, 0.012]])
    assert options["length"] * 0.012 == pytest.approx(0.8 * 0.4, rel=0.3)
    assert list(options["features"]) == ["cell", "i", "j", "u", "v", "noise_floor"]
    assert options["units"] == ["pixel", "nm", "nm"]


def test_what_is_not_displaced_is_points() -> None:
    data, options, kind = cells().drop_vars(["u", "v"]).stemdask.to_napari()
    assert kind == "points"
    assert data.tolist() == [[0, 1, 0], [0, 1, 0.4], [1, 1, 0], [1, 1, 0.4], [1, 1, 0.8]]
    assert options["size"] == pytest.approx(0.3 * 0.4)
    with pytest.raises(StoreError, match="holds no positions"):
        xr.Dataset({"g": ("r", [1.0])}).stemdask.to_napari()


def test_an_image_lies_where_its_coordinates_say() -> None:
    array = xr.DataArray(
        np.zeros((2, 3, 4)),
        dims=("frame", "y", "x"),
        coords={"y": ("y", 1 + 0.5 * np.arange(3), {"units": "nm"}), "x": ("x", 0.25 * np.arange(4), {"units": "nm"})},
    )
    _, options, kind = layers.image(array, "images")
    assert (kind, options["scale"], options["translate"]) == ("image", [1.0, 0.5, 0.25], [0.0, 1.0, 0.0])


@pytest.mark.long
def test_a_store_of_images_gives_its_stack_and_every_group_with_places(every_image_analysis: Path) -> None:
    found = sd.open_results(every_image_analysis).stemdask.to_napari()
    kinds = {options["name"]: kind for _, options, kind in found}
    assert {
        "images": "image",
        "columns": "points",
        "displacement": "vectors",
        "denoised": "vectors",
    }.items() <= kinds.items()
    shown = [options["name"] for _, options, _ in found if options["visible"]]
    assert shown == ["images", "columns", "displacement"]
    pixels = np.load(every_image_analysis.parent / "stack.npy")
    np.testing.assert_array_equal(found[0][0][2], pixels[2])


@pytest.mark.long
def test_atoms_become_those_of_ase_with_all_that_is_known_of_them(every_atoms_analysis: Path) -> None:
    tree = sd.open_results(every_atoms_analysis)
    atoms = tree.stemdask.to_ase(1)
    n = int(tree["frames/n_atoms"][1])
    assert atoms.get_chemical_symbols() == ["Pt"] * n
    np.testing.assert_array_equal(atoms.positions[:, 2], tree["atoms/z"].values[1, :n])
    np.testing.assert_array_equal(atoms.arrays["q6_avg"], tree["atoms/q6_avg"].values[1, :n])
    assert atoms.info["frame"] == 1
    again = tree["atoms"].to_dataset().isel(frame=1).stemdask.to_ase()
    assert again == atoms
    with pytest.raises(StoreError, match="no atoms with positions"):
        tree["bonds"].to_dataset().stemdask.to_ase()


@pytest.mark.long
def test_an_atom_of_a_dataset_is_followed_as_that_of_the_store(every_atoms_analysis: Path) -> None:
    tree = sd.open_results(every_atoms_analysis)
    xr.testing.assert_identical(tree["atoms"].to_dataset().stemdask.track(3), tree.stemdask.track(3))
    with pytest.raises(StoreError, match="did not track"):
        tree["bonds"].to_dataset().stemdask.track(3)


@pytest.mark.long
def test_layers_are_made_without_napari(every_atoms_analysis: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "napari", None)
    ((places, options, kind),) = sd.open_results(every_atoms_analysis).stemdask.to_napari()
    assert (kind, places.shape[1]) == ("points", 4)
    assert len(places) == len(options["features"]) == len(options["size"])
