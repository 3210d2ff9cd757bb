"""A first look at a file: what was found, what to change, and a picture that overwrites nothing."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
import stores
from PIL import Image
from typer.testing import CliRunner

from stemdask import simulate
from stemdask.cli import preview
from stemdask.cli.main import app
from stemdask.errors import ConfigError, StorageError, StoreError
from stemdask.figures import saved, style

pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_of_an_image_it_says_the_distance_that_was_found_and_the_other_contrast(here: Path) -> None:
    stores.write_stack(here / "stack.npy", 2)
    done = CliRunner().invoke(app, ["preview", "stack.npy", "--frame", "1"])
    assert done.exit_code == 0, done.output
    assert re.search(r"\d+ bright columns", done.stdout)
    found = re.search(r"analyses\.columns\.separation=([\d.]+) px", done.stdout)
    assert found is not None
    assert float(found[1]) == pytest.approx(14.0, abs=0.1)
    assert "input.invert=true" in done.stdout
    with Image.open(here / "stack.preview.png") as picture:
        assert picture.width > 500
    assert {path.name for path in here.iterdir()} == {"stack.npy", "stack.preview.png"}  # no store, no run directory


def test_a_key_that_is_set_holds_for_a_preview(here: Path) -> None:
    stores.write_stack(here / "stack.npy", 1)
    done = CliRunner().invoke(app, ["preview", "stack.npy", "--set", "input.pixel_size=0.0297 nm"])
    assert done.exit_code == 0, done.output
    assert " nm" in done.stdout
    refused = CliRunner().invoke(app, ["preview", "stack.npy", "--set", "analyses.column.separation=12 px"])
    assert refused.exit_code == ConfigError.exit_code
    assert "columns" in refused.output


def test_a_preview_that_takes_long_says_why(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.write_stack(here / "stack.npy", 1)
    for patience, said in ((0.01, True), (1e4, False)):
        monkeypatch.setattr(preview, "_LONG", patience)
        done = CliRunner().invoke(app, ["preview", "stack.npy"])
        assert done.exit_code == 0, done.output
        assert ("compiles their kernels" in done.stderr) is said


def test_of_a_structure_it_says_the_cutoff_and_the_unit(here: Path) -> None:
    stores.write_particles(here / "a.xyz", [simulate.nanocrystal(14.0)])
    (here / "a.preview.png").write_text("years of work")
    refused = CliRunner().invoke(app, ["preview", "a.xyz"])
    assert refused.exit_code == StoreError.exit_code
    assert "not written by 'stemdask preview'" in refused.output
    assert (here / "a.preview.png").read_text() == "years of work"
    for _ in range(2):  # its own picture may be drawn anew
        done = CliRunner().invoke(app, ["preview", "a.xyz", "-o", "b.png"])
        assert done.exit_code == 0, done.output
    assert re.search(r"analyses\.bond_order\.cutoff=3\.\d\d angstrom", done.stdout)
    assert "input.scale=" in done.stdout


def test_a_picture_that_a_full_disk_refuses_leaves_the_one_that_was_there(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure, _ = style.new()
    saved.write_picture(figure, here / "a.png")
    before = (here / "a.png").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        saved.write_picture(figure, here / "a.png")
    assert [path.name for path in here.iterdir()] == ["a.png"]
    assert (here / "a.png").read_bytes() == before


def test_a_frame_without_columns_is_a_sentence(here: Path) -> None:
    np.save(here / "noise.npy", np.random.default_rng(0).poisson(50, (128, 128)).astype(np.float32))
    done = CliRunner().invoke(app, ["preview", "noise.npy", "--frame", "0"])
    assert done.exit_code not in (0, 1)
    assert "Traceback" not in done.output
    assert not (here / "noise.preview.png").exists()
