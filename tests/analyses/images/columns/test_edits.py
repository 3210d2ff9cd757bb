"""``columns: {edits: ...}``: what a person corrected is applied, counted, and part of what a run is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stores
from scipy.spatial import cKDTree

import stemdask as sd
from stemdask import simulate
from stemdask.analyses.given_file import GivenFile
from stemdask.analyses.images.columns import edits
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.analyses.images.columns.lattice import LatticeParams
from stemdask.analyses.images.stack.preprocess import PreprocessParams
from stemdask.analyses.images.stack.registration import RegistrationParams
from stemdask.config.document import Document
from stemdask.errors import ConfigError, InputError, StoreError
from stemdask.planning.resolve import resolve
from stemdask.planning.steps import steps

HEADER = ",".join(edits.HEADER) + "\n"
NM = 0.03


@pytest.fixture(scope="module")
def image() -> tuple[np.ndarray, np.ndarray]:
    """An image of a perovskite, and where its columns are, px."""
    pixels, truth = simulate.perovskite((160, 160), 14.0, seed=3)
    return pixels, truth.positions


def middle(places: np.ndarray) -> np.ndarray:
    return places[int(np.argmin(np.hypot(*(places - 79.0).T)))]


def written(path: Path, *rows: str) -> dict[str, Any]:
    path.write_text(HEADER + "".join(row + "\n" for row in rows))
    return {"edits": str(path)}


def measured(stack: Any, frame: int = 0) -> np.ndarray:
    """Positions of a frame, px."""
    places = np.column_stack([stack.results["columns/y"][frame], stack.results["columns/x"][frame]]) / NM
    return places[np.isfinite(places).all(axis=1)]


def test_a_removed_column_is_gone_and_a_start_that_was_moved_ends_on_its_column(
    analysed: Callable[..., Any], image: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    pixels, truth = image
    gone = middle(truth)
    moved = middle(truth + np.array([30.0, 0.0])) - np.array([30.0, 0.0])
    rows = f"0,remove,{gone[0]},{gone[1]},,", f",move,{moved[0]},{moved[1]},{moved[0] + 1.5},{moved[1] - 1.0}"
    params = ColumnsParams(**written(tmp_path / "edits.csv", *rows))
    before = analysed([pixels], ("columns", ColumnsParams()), ("lattice", LatticeParams()), pixel_size=(NM, NM))
    after = analysed([pixels], ("columns", params), ("lattice", LatticeParams()), pixel_size=(NM, NM))
    assert after.results["columns/n_edits"].tolist() == [2]
    assert "columns/n_edits" not in before.results
    assert len(measured(after)) == len(measured(before)) - 1
    distance, _ = cKDTree(measured(after)).query(measured(before))
    assert np.count_nonzero(distance > 3.0) == 1
    at_moved = int(np.argmin(np.hypot(*(measured(before) - moved).T)))
    assert distance[at_moved] < 0.01  # px
    assert np.hypot(*(measured(before)[int(np.argmax(distance))] - gone)) < 1.0


def test_a_column_between_the_sites_is_measured_where_a_person_says_that_it_is(
    analysed: Callable[..., Any], image: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    pixels, truth = image
    place = middle(truth) + np.array([7.3, 0.4])
    y, x = np.indices(pixels.shape)
    height = 0.8 * (np.percentile(pixels, 99) - np.percentile(pixels, 5))
    mean = height * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * 2.4**2))
    crowded = pixels + np.random.default_rng(0).poisson(mean)
    lattice = ("lattice", LatticeParams())
    before = analysed([crowded], ("columns", ColumnsParams()), lattice, pixel_size=(NM, NM))
    assert np.hypot(*(measured(before) - place).T).min() > 3.0
    params = ColumnsParams(**written(tmp_path / "edits.csv", f"0,add,{place[0]:.0f},{place[1]:.0f},,"))
    after = analysed([crowded], ("columns", params), lattice, pixel_size=(NM, NM))
    assert len(measured(after)) == len(measured(before)) + 1
    number = int(np.argmin(np.hypot(*(measured(after) - place).T)))
    error = np.array([after.results[f"columns/{axis}_err"][0][number] for axis in "yx"]) / NM
    assert (np.abs(measured(after)[number] - place) < 4.0 * error).all()
    assert after.results["columns/sublattice"][0][number] == -1
    assert after.results["columns/flag"][0][number] == 0


def test_positions_are_those_of_the_file_whatever_was_cropped(
    analysed: Callable[..., Any], image: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    pixels, truth = image
    gone = middle(truth)
    params = ColumnsParams(**written(tmp_path / "edits.csv", f"0,remove,{gone[0]},{gone[1]},,"))
    crop = ("preprocess", PreprocessParams(crop=("9 px", "17 px", "160 px", "155 px")))
    before, after = (analysed([pixels], crop, ("columns", of), pixel_size=(NM, NM)) for of in (ColumnsParams(), params))
    distance, _ = cKDTree(measured(after)).query(measured(before))
    assert np.hypot(*(measured(before)[int(np.argmax(distance))] - gone)) < 1.0
    assert len(measured(after)) == len(measured(before)) - 1


@pytest.mark.long
def test_what_is_corrected_in_one_frame_of_a_series_is_so_in_all(analysed: Callable[..., Any], tmp_path: Path) -> None:
    frames, _ = simulate.stack(3, drift=3.0, seed=3, shape=(160, 160), spacing=14.0)
    series = ("registration", RegistrationParams())
    before = analysed(frames, series, ("columns", ColumnsParams()), pixel_size=(NM, NM))
    gone = middle(measured(before, 2))
    params = ColumnsParams(**written(tmp_path / "edits.csv", f"2,remove,{gone[0]},{gone[1]},,"))
    after = analysed(frames, series, ("columns", params), pixel_size=(NM, NM))
    assert after.results["columns/n_edits"].tolist() == [1, 1, 1]
    for frame in range(3):
        distance, _ = cKDTree(measured(after, frame)).query(measured(before, frame))
        assert np.count_nonzero(distance > 3.0) == 1
    bad = ColumnsParams(**written(tmp_path / "edits.csv", "1,remove,-40,20,,"))
    with pytest.raises(InputError, match=r"no column was found there.*remove at y = -40, x = 20"):
        analysed(frames, series, ("columns", bad), pixel_size=(NM, NM))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (["0,remove,10,20,,", "0,erase,10,20,,"], r"line 3: this is not a correction \(got '0,erase,10,20,,'"),
        (["0,move,10,20,,"], "line 2: this is not a correction"),
        (["0,add,10,20,11,21"], "line 2: this is not a correction"),
        (["0,add,ten,20,,"], "line 2: this is not a correction"),
        (["0,add,nan,20,,"], "line 2: this is not a correction"),
        (["5,add,10,20,,"], r"line 2: there is no such frame \(got 5; allowed: 0 to 0\)"),
    ],
)
def test_a_row_that_is_no_correction_is_named(rows: list[str], why: str, tmp_path: Path) -> None:
    given = written(tmp_path / "edits.csv", *rows)
    with pytest.raises(InputError, match=why):
        edits.read(GivenFile(path=given["edits"]), 1)


def test_another_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "edits.csv").write_text("row,column\n1,2\n")
    with pytest.raises(InputError, match=r"header of these names \(got 'row, column'; allowed: frame, action, y, x"):
        edits.read(GivenFile(path=str(tmp_path / "edits.csv")), 1)


def test_a_file_that_is_missing_is_a_problem_of_the_config(tmp_path: Path) -> None:
    document = Document({"analyses": {"columns": {"edits": str(tmp_path / "none.csv")}}})
    assert steps(document, "images")[1] == [
        f"analyses.columns.edits: {tmp_path}/none.csv: the file can't be read: No such file or directory"
    ]


def test_what_the_file_holds_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    stores.write_stack(tmp_path / "stack.npy", 1)

    def fingerprint(given: Any) -> str:
        data = {"input": {"path": str(tmp_path / "stack.npy"), "invert": False}, "output": str(tmp_path / "a.zarr")}
        return resolve(Document(data | {"analyses": {"columns": {"edits": given}}})).fingerprint

    path = tmp_path / "edits.csv"
    written(path, "0,remove,80,80,,")
    first = fingerprint(str(path))
    assert fingerprint(str(path)) == first
    sealed = GivenFile(path=str(path)).sealed().model_dump()
    assert fingerprint(sealed) == first
    written(path, "0,remove,80,81,,")
    assert fingerprint(str(path)) != first
    with pytest.raises(ConfigError, match="its content has changed"):
        fingerprint(sealed)


@pytest.mark.long
def test_what_was_edited_in_napari_comes_back_from_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = stores.write_stack(tmp_path / "stack.npy", 1)

    def layer(store: Path) -> np.ndarray:
        layers = sd.open_results(store).stemdask.to_napari()
        [points] = [data for data, options, _ in layers if options["name"] == "columns"]
        return points

    def run(name: str, columns: dict[str, Any]) -> Path:
        return stores.run(source, tmp_path / name, {"columns": columns, "lattice": {}}, "0.0297 nm")

    found = run("found.zarr", {})
    points = layer(found)
    near = np.argsort(np.hypot(*(points[:, 1:] - points[:, 1:].mean(axis=0)).T))[:3]
    edited = points.copy()
    edited[near[0], 1:] += 0.05
    edited = np.delete(edited, near[1:], axis=0)
    assert sd.open_results(found).stemdask.write_edits("edits.csv", edited) == 3
    corrected = run("corrected.zarr", {"edits": "edits.csv"})
    tree = sd.open_results(corrected)
    assert tree["columns/n_edits"].values.tolist() == [3]
    assert len(layer(corrected)) == len(points) - 2
    assert "corrected by hand as edits.csv lists" not in tree.attrs["config"]
    before = (tmp_path / "edits.csv").read_bytes()
    with pytest.raises(StoreError, match="a file of this name exists"):
        tree.stemdask.write_edits("edits.csv", points)
    assert (tmp_path / "edits.csv").read_bytes() == before
    # What was taken away is put back, on top of the first corrections.
    assert tree.stemdask.write_edits("again.csv", np.vstack([layer(corrected), points[near[1:]]])) == 5
    back = layer(run("back.zarr", {"edits": "again.csv"}))
    distance, _ = cKDTree(back[:, 1:]).query(points[:, 1:])
    assert len(back) == len(points)
    assert distance.max() < 0.001  # nm


@pytest.mark.long
def test_columns_of_a_real_image_are_removed_and_put_back(
    reference: Path, tmp_path: Path, analysed: Callable[..., Any]
) -> None:
    source = sd.open_images(str(reference / "data" / "BTO_crystal_1.dm4"))
    pixels = np.asarray(source[0])[100:260, 100:260]
    before = analysed([pixels], ("columns", ColumnsParams()), ("lattice", LatticeParams()), pixel_size=(NM, NM))
    inner = [place for place in measured(before) if (np.abs(place - 79.5) < 50).all()][::12]
    rows = [f"0,remove,{y:.2f},{x:.2f},," for y, x in inner] + [f"0,add,{y:.0f},{x:.0f},," for y, x in inner]
    params = ColumnsParams(**written(tmp_path / "edits.csv", *rows))
    after = analysed([pixels], ("columns", params), ("lattice", LatticeParams()), pixel_size=(NM, NM))
    assert after.results["columns/n_edits"].tolist() == [2 * len(inner)]
    distance, index = cKDTree(measured(after)).query(measured(before))
    assert distance.max() < 0.01  # px
    for name in ("sublattice", "i", "j", "grain"):
        np.testing.assert_array_equal(after.results[f"columns/{name}"][0][index], before.results[f"columns/{name}"][0])
