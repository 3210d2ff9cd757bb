"""Images without a pixel size have lengths in pixels: nothing that a run says of them is in nm or pm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import stores
from matplotlib.figure import Figure
from matplotlib.text import Text

from stemdask import report
from stemdask.analyses import registry
from stemdask.errors import StoreError
from stemdask.report import verdicts
from stemdask.results import reader, shows
from stemdask.results.views import Results
from stemdask.view.reading import Frames, label

pytestmark = pytest.mark.long

#: Lengths as they are written, and what is made of them.
LENGTHS = re.compile(r"(?<![A-Za-z])(nm|pm|angstrom|Å|µm|C cm|10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+ px²?|millipixel)(?![A-Za-z])")
NAMES = [analysis.name for analysis in registry.of_kind("images") if analysis.shows is not None]


@pytest.fixture(scope="module")
def in_pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all image analyses over frames of which nobody said how large a pixel is."""
    folder = tmp_path_factory.mktemp("in_pixels")
    analyses = {name: stores.IMAGES.get(name, {}) for name in registry.names("images") if name != "toy"}
    return stores.run(stores.write_stack(folder / "stack.npy"), folder / "images.zarr", analyses)


def words_of(figure: Figure) -> Iterator[str]:
    figure.draw_without_rendering()
    yield from (text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("name", NAMES)
def test_figures_and_numbers_are_in_pixels(name: str, in_pixels: Path) -> None:
    results = Results(reader.open_results(in_pixels))
    shown = shows.shown_by(registry.get("images", name))
    assert shown is not None
    parts = shown.parts(results, 0)
    said = [text for part in parts for row in part.rows for text in row]
    said += [picture.caption for part in parts for picture in part.pictures]
    for plot in shown.plots.values():
        try:
            said += words_of(plot(results))
        except StoreError:  # of what this run doesn't hold
            continue
    assert said
    assert not [text for text in said if LENGTHS.search(text)]


@pytest.mark.parametrize("name", NAMES)
def test_sentences_are_in_pixels(name: str, in_pixels: Path) -> None:
    results = Results(reader.open_results(in_pixels))
    shown = shows.shown_by(registry.get("images", name))
    assert shown is not None
    said = [sentence for part in shown.parts(results, 0) for sentence in part.sentences]
    assert not [sentence for sentence in said if LENGTHS.search(sentence)]


def test_a_line_of_the_terminal_is_in_pixels_and_says_what_would_help(in_pixels: Path) -> None:
    for line in report.summary(in_pixels):
        assert re.search(r"median displacement 0\.\d+ px, error of one cell 0\.\d+ px; .*input\.pixel_size", line)
        assert not LENGTHS.search(line)


def test_units_and_axes_of_the_store_are_those_of_pixels(in_pixels: Path) -> None:
    tree = reader.open_results(in_pixels)
    named = [(f"{node.path}/{name}", v) for node in tree.subtree for name, v in node.variables.items()]
    units = {name: v.attrs["units"] for name, v in named if v.dtype.kind in "biuf"}
    assert units["/columns/y"] == "pixel"
    assert units["/displacement/u"] == "millipixel"
    assert not {name: unit for name, unit in units.items() if LENGTHS.search(unit.replace("millipixel", "pixel"))}


def test_nothing_is_said_of_a_scale_that_is_not_known(in_pixels: Path) -> None:
    lattice = reader.open_results(in_pixels)["lattice"]
    np.testing.assert_array_equal(lattice["calibration"], -1)
    assert "warning" not in lattice.attrs


def test_numbers_of_frames_are_told_in_pixels(in_pixels: Path) -> None:
    columns = verdicts.judge(Results(reader.open_results(in_pixels))).columns
    assert [name.rpartition(" / ")[2] for name in columns if name.startswith("scatter")] == ["px"]
    assert not [name for name in columns if LENGTHS.search(name)]


def test_what_the_viewer_says_of_a_cell_and_draws_of_it_is_in_pixels(in_pixels: Path) -> None:
    frames = Frames(in_pixels)
    shown = frames.property("displacement/u")
    assert label(shown) == "displacement along +x / px"
    stored = reader.open_results(in_pixels)["displacement/u"].values
    cell = int(np.flatnonzero(np.isfinite(stored[0]))[0])
    said = dict(frames.told(shown, 0, cell))
    assert re.fullmatch(r"-?0\.\d+ ± 0\.\d+ px", said["displacement/u"])
    assert not [value for value in said.values() if LENGTHS.search(value)]
    seen = frames.things(shown, 0).values
    np.testing.assert_allclose(seen, 1e-3 * stored[0, : len(seen)])
    _, arrows = frames.vectors(0, "displacement/u")
    assert 0.3 < np.abs(arrows[:, 0]).max() < 1.0  # px; cells are displaced by 0.6
    assert 0.1 < frames.typical("displacement/u") < 1.0
