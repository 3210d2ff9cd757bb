"""Figures as files: text that can be edited, one file for each frame, and never over what someone else made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stemdask.cli.main import app
from stemdask.errors import ConfigError, StoreError
from stemdask.figures.saved import save
from stemdask.results import reader

pytestmark = pytest.mark.long


def test_every_figure_of_a_run_becomes_a_file(every_atoms_analysis: Path, tmp_path: Path) -> None:
    written = save(every_atoms_analysis, tmp_path, format="png")
    names = {re.sub(r"_\d+$", "", path.stem) for path in written}
    assert names == set(dir(reader.open_results(every_atoms_analysis).stemdask.plot))
    assert all(path.stat().st_size > 10_000 for path in written)


def test_text_of_vectors_can_be_edited(every_image_analysis: Path, tmp_path: Path) -> None:
    (svg,) = save(every_image_analysis, tmp_path, only=["displacement"])
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text())
    assert {"x / nm", "y / nm", "90°"} <= set(words)
    assert any(word.startswith("Displacement, median") for word in words)
    (pdf,) = save(every_image_analysis, tmp_path, only=["distribution"], format="pdf")
    assert b"/FontFile2" in pdf.read_bytes()  # TrueType, not outlines
    assert b"/Type3" not in pdf.read_bytes()


def test_a_figure_of_each_frame_is_named_by_its_number(every_image_analysis: Path, tmp_path: Path) -> None:
    written = save(every_image_analysis, tmp_path, only=["displacement", "drift"], frames="1:3")
    assert sorted(path.name for path in written) == ["displacement_0001.svg", "displacement_0002.svg", "drift.svg"]


def test_the_same_figure_is_the_same_file(every_image_analysis: Path, tmp_path: Path) -> None:
    for format in ("svg", "pdf", "png"):
        files = [save(every_image_analysis, tmp_path / k, only=["lattice"], format=format)[0] for k in "ab"]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_not_there_is_refused_with_what_is(every_image_analysis: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"allowed: .*displacement.*Did you mean 'displacement'"):
        save(every_image_analysis, tmp_path, only=["displacment"])
    with pytest.raises(ConfigError, match="allowed: svg, pdf, png"):
        save(every_image_analysis, tmp_path, format="jpeg")
    with pytest.raises(ConfigError, match="range of frames"):
        save(every_image_analysis, tmp_path, frames="3")
    with pytest.raises(StoreError, match="no frame of this range"):
        save(every_image_analysis, tmp_path, frames="9:12")
    assert not list(tmp_path.iterdir())


def test_another_file_is_not_overwritten(every_image_analysis: Path, tmp_path: Path) -> None:
    mine = tmp_path / "drift.svg"
    mine.write_text("years of work")
    with pytest.raises(StoreError, match="not made by an export"):
        save(every_image_analysis, tmp_path, only=["drift"])
    assert mine.read_text() == "years of work"


def test_the_verb_names_its_files(every_image_analysis: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["figures", str(every_image_analysis), "-o", str(tmp_path), "--only", "drift"])
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(tmp_path / "drift.svg")]
