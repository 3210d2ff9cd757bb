"""napari opens a store: the manifest holds, the reader finds stores alone, and the layers are what napari takes."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stemdask as sd
from stemdask.results.napari import get_reader


def test_the_reader_is_offered_by_an_entry_point() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["napari.manifest"]["stemdask"].partition(":")
    assert files(module).joinpath(name).is_file()


def test_other_paths_are_left_to_other_readers(tmp_path: Path) -> None:
    (tmp_path / "image.zarr").mkdir()
    assert get_reader(str(tmp_path / "image.zarr")) is None
    assert get_reader(str(tmp_path / "nothing.zarr")) is None
    assert get_reader([str(tmp_path)]) is None


@pytest.mark.claims
@pytest.mark.filterwarnings("ignore")
def test_the_validator_of_npe2_takes_the_manifest() -> None:
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(str(files("stemdask.results").joinpath("napari.yaml")))
    manifest.validate_imports()
    (reader,) = manifest.contributions.readers
    assert (reader.filename_patterns, reader.accepts_directories) == (["*.zarr"], True)


@pytest.mark.claims
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("half", ["images", "atoms"])
def test_napari_makes_a_layer_of_every_tuple(half: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("napari")
    from napari.components import ViewerModel  # no window
    from napari.layers import Layer

    store = request.getfixturevalue({"images": "every_image_analysis", "atoms": "every_atoms_analysis"}[half])
    reader = get_reader(str(store))
    assert reader is not None
    viewer = ViewerModel()
    for data, options, kind in reader(str(store)):
        layer = viewer.add_layer(Layer.create(data, options, kind))
        _check(layer, options)
    tree = sd.open_results(store)
    n_frames = tree.sizes["frame"]
    assert viewer.dims.nsteps[0] == n_frames
    viewer.dims.set_point(0, n_frames - 1)
    assert viewer.dims.ndim == {"images": 3, "atoms": 4}[half]


def _check(layer: Any, options: dict[str, Any]) -> None:
    assert layer.name == options["name"]
    if "features" in options:
        assert len(layer.features) == len(layer.data) > 0
        assert np.isfinite(layer.data).all()
