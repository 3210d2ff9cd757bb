"""What the viewer reads is what the store holds, of the same thing in every frame, and says where an image is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import stemdask as sd
from stemdask.view.reading import Frames, nearest

pytestmark = pytest.mark.long


def followed(frames: Frames, path: str, frame: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which one it is in each frame, its values and their errors."""
    shown = frames.property(path)
    thing = frames.thing(shown, frame, index)
    assert thing is not None
    parts = list(frames.series(shown, thing))
    values, errors = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    return thing.find(slice(0, frames.n_frames)), values, errors


def test_columns_of_a_frame_are_those_of_the_store(images: Path):
    frames = Frames(images)
    found = frames.things(frames.property("columns/amplitude"), 1)
    stored = sd.open_results(images)["columns"].to_dataset().isel(frame=1)
    n = int(sd.open_results(images)["frames/n_columns"][1])
    np.testing.assert_array_equal(found.values, stored.amplitude[:n])
    np.testing.assert_array_equal(found.where, np.column_stack([stored.y[:n], stored.x[:n]]))
    assert found.usable.sum() > 100


def test_a_frame_that_failed_has_no_columns(images: Path):
    frames = Frames(images)
    assert len(frames.things(frames.property("columns/amplitude"), 2).values) == 0
    assert frames.verdicts.frames[2].level == "failed"


def test_a_column_is_followed_as_the_specimen_drifts(images: Path):
    frames = Frames(images)
    y = sd.open_results(images)["columns/y"].values
    k = int(np.flatnonzero(np.isfinite(y[[0, 1, 3, 4]]).all(axis=0))[60])
    number, values, errors = followed(frames, "columns/y", 1, k)
    np.testing.assert_array_equal(number, [k, k, -1, k, k])  # column k of a series is the same in every frame
    np.testing.assert_array_equal(values, y[:, k])
    np.testing.assert_array_equal(np.isfinite(errors), number >= 0)


def test_a_cell_is_followed_to_the_same_place_of_the_specimen(images: Path):
    frames = Frames(images)
    tree = sd.open_results(images)
    cells, shift = tree["displacement"].to_dataset(), tree["registration/shift_x"].values
    number, values, _ = followed(frames, "displacement/u", 0, 30)
    assert (number >= 0).sum() >= 3
    x = np.array([cells.x.values[f, k] - shift[f] for f, k in enumerate(number) if k >= 0])
    assert np.ptp(x) < 0.05  # nm; cells are 0.42 nm apart, and the drift is larger
    np.testing.assert_array_equal(values[4], cells.u.values[4, number[4]])


def test_an_atom_is_followed_by_its_track(atoms: Path):
    frames = Frames(atoms)
    track = sd.open_results(atoms)["atoms/track"].values
    number, values, _ = followed(frames, "atoms/q6_avg", 1, 100)
    assert all(track[f, k] == track[1, 100] for f, k in enumerate(number) if k >= 0)
    assert number[1] == 100
    np.testing.assert_array_equal(np.isfinite(values), number >= 0)


def test_an_atom_without_a_track_is_followed_nowhere(atoms: Path, monkeypatch: pytest.MonkeyPatch):
    frames = Frames(atoms)
    monkeypatch.delitem(frames._blocks.variables, "atoms/track")
    assert frames.thing(frames.property("atoms/q6_avg"), 1, 100) is None


def test_values_are_told_with_their_errors_and_units_and_flags_in_words(images: Path):
    frames = Frames(images)
    stored = sd.open_results(images)["columns"].to_dataset().isel(frame=0)
    k = int(np.flatnonzero(stored.flag == 0)[5])
    told = frames.told(frames.property("columns/x"), 0, k)
    assert told[0][0] == "columns/x"
    assert "±" in told[0][1]
    assert told[0][1].endswith(" nm")
    assert dict(told)["columns/flag"] == "ok"
    assert "columns/x_err" not in dict(told)


def test_an_image_is_read_and_compared_with_what_was_analysed(images: Path, tmp_path: Path):
    store = tmp_path / "images.zarr"
    shutil.copytree(images, store)
    frames = Frames(images)
    seen = frames.image(1)
    assert seen.image is not None
    assert seen.image.pixels.shape == (160, 160)
    assert seen.trouble == ""
    source = images.parent / "stack.npy"
    kept = source.read_bytes()
    try:
        np.save(source, np.load(source)[::-1])
        changed = Frames(store).image(1)
        assert changed.image is not None
        assert "has changed since it was analysed" in changed.trouble
        source.unlink()
        gone = Frames(store).image(1)
        assert gone.image is None
        assert f"its file ({source}) can't be read from here" in gone.trouble
    finally:
        source.write_bytes(kept)


def test_nearest_gives_up_beyond_the_distance_of_neighbours():
    where = np.array([[0.0, 0.0], [0.0, 1.0], [np.nan, np.nan], [1.0, 0.0]])
    assert nearest(where, (0.1, 0.8)) == 1
    assert nearest(where, (0.9, 0.1)) == 3
    assert nearest(where, (5.0, 5.0)) is None
    assert nearest(where[2:3], (0.0, 0.0)) is None
