"""Runs of images that look for no columns end well, and their report shows what they did."""

from __future__ import annotations

from pathlib import Path

import pytest
import stores
import yaml
from drawn import assert_drawn, title
from typer.testing import CliRunner

from stemdask.cli.main import app
from stemdask.report import page
from stemdask.results import reader
from stemdask.results.views import Results
from stemdask.store.layout import run_directory

pytestmark = pytest.mark.long

RUNS = {
    "registration": ({}, "Registration", ["drift", "average"]),
    "preprocess": ({"rotate": 3}, "Preprocessing of frame 0", ["preprocessing"]),
    "denoise_images": ({"method": "gaussian"}, "Denoised images", ["denoised_image"]),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stores.write_stack(tmp_path_factory.mktemp("stack") / "stack.npy", 3)


@pytest.mark.parametrize("name", RUNS)
def test_the_run_ends_well_and_its_report_shows_it(name: str, stack: Path, tmp_path: Path) -> None:
    params, part, plots = RUNS[name]
    config, store = tmp_path / "run.yaml", tmp_path / "out.zarr"
    data = {"input": {"path": str(stack), "pixel_size": "0.03 nm"}, "output": str(store), "analyses": {name: params}}
    config.write_text(yaml.safe_dump(data | {"cluster": {"kind": "inline"}, "limits": {"isolate": False}}))
    outcome = CliRunner().invoke(app, ["run", str(config)])
    assert outcome.exit_code == 0, outcome.output
    assert "frame 0:" not in outcome.stdout  # nothing is to be said of a single frame
    assert f">{part}</h2>" in (run_directory(store) / "report.html").read_text()
    tree = reader.open_results(store)
    found = page.parts(Results(tree), 0)
    assert found[0].title == part
    assert len(found[0].pictures) == len(plots)
    for picture in found[0].pictures:
        assert_drawn(picture.draw())
    assert dir(tree.stemdask.plot) == sorted(plots)


def test_pixels_are_shown_before_and_after(stack: Path, tmp_path: Path) -> None:
    store = stores.run(stack, tmp_path / "out.zarr", {"preprocess": {"rotate": {"angle": 90, "pixels": True}}})
    before, after = reader.open_results(store).stemdask.plot.preprocessing(1).axes
    assert [title(axes) for axes in (before, after)] == ["as in the file", "to measure on"]
    turned = before.images[0].get_array()[:, ::-1].T  # a quarter counter-clockwise
    assert abs(after.images[0].get_array() - turned).max() < 1e-3 * turned.max()
