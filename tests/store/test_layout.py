from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy
import xarray as xr

import stemdask as sd
from stemdask.model import Variable
from stemdask.planning import plan_file
from stemdask.store import layout, metadata
from stemdask.store.verify import verify


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout")
    frames = toy.write_frames(folder / "f.npy", 10, {3: "refuse", 5: "empty"})
    return sd.run(toy.config(frames, folder / "out.zarr", limits={"isolate": False}))


def test_a_chunk_is_a_block_of_frames_and_whole_along_the_rest(store: Path) -> None:
    root = layout.open_group(store)
    assert root["columns/y"].chunks == (4, root["columns/y"].shape[1])
    assert root["frames/error"].chunks == (4,)
    assert root["toy/reference"].chunks == (4,)


def test_a_chunk_is_split_across_the_frame_when_it_would_be_too_large() -> None:
    variable = Variable("a/b", ("frame", "y", "x"), "float64", "1", "large")
    chunks = layout.chunks_of(variable, (100, 5000, 4000), 8)
    assert chunks[0] == 8
    assert np.prod(chunks) * 8 <= layout.MAX_CHUNK_BYTES < np.prod(chunks) * 16


def test_every_array_ends_its_codecs_with_a_checksum(store: Path) -> None:
    found = [json.loads(path.read_text()) for path in store.rglob("zarr.json")]
    arrays = [one for one in found if one["node_type"] == "array"]
    assert len(arrays) == 17
    assert all(one["codecs"][-1]["name"] == "crc32c" for one in arrays)


def test_every_variable_says_its_units_and_meaning(store: Path) -> None:
    for group in xr.open_datatree(store, engine="zarr").subtree:
        for variable in group.to_dataset().variables.values():
            assert ("units" in variable.attrs) == (variable.dtype.kind not in "TO")  # CF: a text has none
            assert variable.attrs["long_name"]


def test_errors_and_flags_are_named_as_the_conventions_want(store: Path) -> None:
    tree = xr.open_datatree(store, engine="zarr")
    assert tree["toy/mean"].attrs["ancillary_variables"] == "mean_err"
    assert tree["columns/kind"].attrs["flag_values"] == [-1, 0]
    assert tree["columns/kind"].attrs["flag_meanings"] == "none a_b"
    assert tree["frames/frame_status"].attrs["flag_meanings"] == "pending ok failed overflow empty"


def test_frames_are_a_coordinate_that_every_group_inherits(store: Path) -> None:
    tree = xr.open_datatree(store, engine="zarr")
    for name in ("columns", "frames", "toy"):
        assert tree[name].to_dataset().indexes["frame"].tolist() == list(range(10))


def test_coordinates_are_named_by_those_that_they_place() -> None:
    dims = ("frame", "cell")
    y, x = (Variable(f"displacement/{name}", dims, "float64", "nm", name, coordinate=True) for name in "yx")
    time = Variable(layout.TIME, ("frame",), "float64", "1", "time", coordinate=True)
    label = Variable("domains/label", dims, "int8", "1", "label")
    own = Variable("strain/y", dims, "float64", "nm", "y", coordinate=True)
    strain = Variable("strain/exx", dims, "float64", "1", "strain")
    others = (time, y, x, own, label, strain)

    def named(variable: Variable) -> object:
        return layout.attributes_of(variable, True, others).get("coordinates")

    assert named(Variable("displacement/u", dims, "float64", "pm", "u")) == "y x /frames/time"
    assert named(label) == "/frames/time /displacement/y /displacement/x"
    assert named(strain) == "y /frames/time"
    assert named(Variable("frames/quality", ("frame",), "float32", "1", "quality")) == "time"
    assert named(Variable("domains/centre_u", ("domain",), "float64", "pm", "centre")) is None
    assert named(y) is None


def test_a_store_of_a_version_without_coordinates_gets_them_when_it_is_continued(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "old.zarr"
    shutil.copytree(store, copy)
    shutil.copytree(metadata.run_directory(store), metadata.run_directory(copy))
    shutil.rmtree(copy / "frame")
    known = metadata.read(copy)
    assert known is not None
    nodes = {path: node for path, node in known.nodes.items() if path != "frame"}
    sums = {path: value for path, value in known.attributes["checksums"].items() if path != "frame"}
    metadata._write(copy, {**known.attributes, "checksums": sums}, nodes, metadata._copy_of(copy))
    assert "frame" not in sd.open_results(copy)["toy"].coords
    plan = replace(plan_file.load(layout.plan_file(copy)), store=str(copy))
    layout.add_missing(plan)
    assert sd.open_results(copy)["toy"].indexes["frame"].tolist() == list(range(10))
    assert verify(copy).sound


def test_what_a_frame_lacks_is_filled(store: Path) -> None:
    tree = xr.open_datatree(store, engine="zarr")
    assert np.isnan(tree["columns/y"][3]).all()
    assert (tree["columns/kind"][3] == -1).all()
    assert tree["frames/n_columns"].values.tolist() == [3, 4, 5, -1, 4, 0, 3, 4, 5, 3]
    assert tree["frames/error"].values[[0, 3]].tolist() == ["", "the frame is too dark."]


def test_an_image_without_calibration_is_measured_in_pixels() -> None:
    assert layout.attributes_of(Variable("a/b", (), "float64", "nm", "b"), calibrated=False)["units"] == "pixel"
    assert layout.attributes_of(Variable("a/b", (), "float64", "pm", "b"), calibrated=False)["units"] == "millipixel"
    assert layout.attributes_of(Variable("a/b", (), "float64", "degree", "b"), calibrated=False)["units"] == "degree"


@pytest.mark.processes
def test_the_store_opens_with_xarray_where_stemdask_is_not_installed(store: Path) -> None:
    program = (
        "import sys, warnings; warnings.simplefilter('error', UserWarning); sys.modules['stemdask'] = None\n"
        "import xarray as xr\n"
        f"tree = xr.open_datatree({str(store)!r}, engine='zarr')\n"
        "print(sorted(tree.children), tree.attrs['state'], float(tree['toy/mean'][0]) > 0)"
    )
    environment = {"PATH": "/usr/bin", "OMP_NUM_THREADS": "1"}
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)
    assert out.stdout.split("\n")[0] == "['blocks', 'columns', 'frames', 'toy'] complete True"
