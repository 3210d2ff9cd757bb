"""A run whose config names its input by a relative path has its images wherever its store is opened."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import stores

from stemdask import report
from stemdask.figures import saved
from stemdask.results import reader
from stemdask.results.views import Results
from stemdask.view.reading import Frames

pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pattern in its name, data in it, and results of a run that was started there."""
    folder = tmp_path / "project [1]"
    (folder / "data").mkdir(parents=True)
    stores.write_stack(folder / "data" / "stack.npy", 2)
    monkeypatch.chdir(folder)
    stores.run(Path("data/sta*.npy"), Path("results/out.zarr"), {"preprocess": {"hot_pixels": 8}})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return folder


def shown(store: Path) -> np.ndarray | None:
    image = Results(reader.open_results(store)).image(1)
    return None if image is None else image.pixels


def test_the_image_is_found_from_another_folder(project: Path, tmp_path: Path) -> None:
    store = project / "results" / "out.zarr"
    np.testing.assert_array_equal(shown(store), np.load(project / "data" / "stack.npy")[1])
    assert Frames(store).image(1).trouble == ""
    assert "The pixels before and after." in report.write(store, tmp_path / "r.html").read_text()
    assert [path.name for path in saved.save(store, tmp_path / "figures", format="png")] == ["preprocessing_0000.png"]


def test_data_and_results_that_were_moved_together_are_found(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = shutil.move(project, tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved" / "results")
    assert shown(Path("out.zarr")) is not None
    shutil.rmtree(tmp_path / "moved" / "data")
    assert shown(Path("out.zarr")) is None
    assert "can't be read from here; it was moved" in Frames(moved / "results" / "out.zarr").image(1).trouble


def test_the_folder_where_the_run_was_started_comes_before_the_one_here(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    (other / "data").mkdir(parents=True)
    np.save(other / "data" / "stack.npy", np.zeros((2, 8, 8), np.float32))
    monkeypatch.chdir(other)
    pixels = shown(project / "results" / "out.zarr")
    assert pixels is not None
    assert pixels.shape == (160, 160)


def test_a_store_without_a_record_of_the_folder_is_read_from_here(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = reader.open_results(project / "results" / "out.zarr")
    for name in ("input_directory", "input_directory_from_store"):
        del tree.attrs[name]
    assert Results(tree).image(1) is None
    monkeypatch.chdir(project)
    assert Results(tree).image(1) is not None
