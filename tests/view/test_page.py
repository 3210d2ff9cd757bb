"""What a person chooses on the page, and what the page makes of it, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stemdask as sd
from stemdask.errors import StoreError
from stemdask.view.reading import Frames

pytest.importorskip("panel", reason="panel is not installed")
pytestmark = pytest.mark.long


@pytest.fixture
def of_images(images: Path) -> Any:
    from stemdask.view.page import Page

    return Page(Frames(images))


def test_every_property_of_the_store_can_be_a_colour(of_images: Any, images: Path):
    tree = sd.open_results(images)
    offered = {path for group in of_images.colour.groups.values() for path in group.values()}
    wanted = {
        f"{group}/{name}"
        for group in ("columns", "displacement")
        for name, variable in tree[group].variables.items()
        if variable.dims in (("frame", "column"), ("frame", "cell"))
    }
    assert offered == wanted
    for path in sorted(offered):
        of_images.colour.value = path
        assert path.rsplit("/", 1)[1] in of_images.colour.groups[path.split("/")[0]]


def test_a_range_stays_when_the_frame_changes_and_goes_with_the_property(of_images: Any):
    of_images.colour.value = "columns/amplitude"
    amplitude = of_images._things.values
    of_images.histogram._brushed((float(np.nanpercentile(amplitude, 80)), 1e9))
    assert "chosen; click the histogram" in of_images.count.object
    before = of_images.count.object
    of_images.control.value = 1
    assert "chosen; click the histogram" in of_images.count.object
    assert of_images.count.object != before
    of_images.colour.value = "columns/background"
    assert "drag over the histogram" in of_images.count.object


def test_what_is_picked_stays_where_the_next_property_is_one_of_it_too(of_images: Any):
    of_images.colour.value = "columns/amplitude"
    of_images._pick(50)
    of_images.colour.value = "columns/x"
    assert "Column 50 of frame 0" in of_images.values.object
    of_images.colour.value = "displacement/u"
    assert "Click one of the cells" in of_images.values.object


def test_what_is_picked_is_drawn_over_the_frames_with_its_errors(of_images: Any, images: Path):
    of_images.colour.value = "columns/x"
    of_images._pick(50)
    drawn, stored = of_images.series._points.data, sd.open_results(images)["columns"].to_dataset()
    x, error = stored.x.values[:, 50], stored.x_err.values[:, 50]
    x[2] = np.nan  # failed
    np.testing.assert_array_equal(drawn["value"], x)
    np.testing.assert_allclose((drawn["high"] - drawn["low"])[[0, 1, 3, 4]], 2 * error[[0, 1, 3, 4]], rtol=1e-5)
    assert of_images.place_of_series.visible
    of_images._pick(None)
    assert not of_images.place_of_series.visible


def test_a_frame_without_results_keeps_its_image_and_loses_its_columns(of_images: Any):
    of_images.control.value = 2
    assert of_images.seen._picture.data["levels"][0].shape == (160, 160)
    assert len(of_images.seen._rings.data["x"]) == 0
    assert "failed" in of_images.of_frame.object
    assert "<td>frame 2</td>" in of_images.failed.object


def test_words_of_files_are_escaped(of_images: Any):
    from stemdask.report.verdicts import Verdict
    from stemdask.view import words

    said = words.of_frame(Verdict(0, "failed", ("<script>x</script>",), (), "<b>.npy", ()), "<i>")
    assert not {"<script>", "<b>", "<i>"} & {part for part in ("<script>", "<b>", "<i>") if part in said}


def test_a_run_without_columns_shows_its_images(images: Path, tmp_path: Path):
    from stores import run

    from stemdask.view.page import Page

    store = run(images.parent / "stack.npy", tmp_path / "o.zarr", {"registration": {}})
    page = Page(Frames(store))
    page.control.value = 1
    assert page.colour.value is None
    assert page.seen._picture.data["levels"][0].shape == (160, 160)
    assert page.layout() is not None


def test_a_notebook_gets_the_page_of_an_opened_store(images: Path):
    from stemdask.view.components import FrameControl

    (control,) = sd.open_results(images).stemdask.view().select(FrameControl)
    assert control.levels == "ggfgg"


def test_a_tree_that_is_no_store_is_refused(images: Path):
    tree = sd.open_results(images).copy()
    tree.encoding = {}
    with pytest.raises(StoreError, match="was not read from one"):
        tree.stemdask.view()
