from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, bars, legend, share_drawn

from stemdask.figures.atoms.tracks import doubts, motion, shaking, turnover
from stemdask.results.views import Results


def tracks(n_frames=4, n_tracks=3):
    random = np.random.default_rng(0)
    first = np.zeros(n_frames, int)
    first[:1] = n_tracks
    data = {name: ("frame", np.arange(float(n_frames))) for name in ("msd", "rotation", "rms")}
    data |= {"n_born": ("frame", first), "n_lost": ("frame", np.zeros(n_frames, int)), "lindemann": 0.02}
    data |= {name: ("track", random.normal(size=n_tracks)) for name in "xyz"}
    data |= {"lindemann_index": ("track", np.full(n_tracks, 0.02)), "n_frames": ("track", np.full(n_tracks, n_frames))}
    return xr.Dataset(data)


def test_motion_and_rotation_are_drawn_by_frame_with_their_units():
    figure = motion(tracks())
    moved, turned, changed = figure.axes
    for axes in (moved, turned):
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), np.arange(4.0))
    assert [axes.get_ylabel() for axes in figure.axes] == ["MSD / Å²", "angle / °", "atoms"]
    assert changed.get_xlabel() == "frame"
    assert_drawn(figure)


def test_the_atoms_of_the_first_frame_are_not_drawn_as_births_and_lost_ones_hang_below():
    found = tracks()
    found["n_born"][2], found["n_lost"][3] = 2, 1
    axes = motion(found).axes[2]
    assert bars(axes) == [[0, 0, 2, 0], [0, 0, 0, -1]]
    assert legend(axes) == ["born", "lost"]


def test_every_atom_shakes_at_its_distance_to_the_centre():
    found = tracks(n_tracks=40)
    figure = shaking(found)
    axes, scale = figure.axes
    xyz = np.stack([found[axis] for axis in "xyz"], axis=1)
    expected = np.linalg.norm(xyz - xyz.mean(axis=0), axis=1)
    np.testing.assert_allclose(axes.collections[0].get_offsets(), np.stack([expected, np.full(40, 0.02)], axis=1))
    assert legend(axes) == ["all atoms: 0.0200"]
    assert axes.lines[0].get_ydata()[0] == 0.02
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("distance to the centre / Å", "Lindemann index")
    assert scale.get_ylabel() == "frames in which the atom was seen"
    assert_drawn(figure)


@pytest.mark.parametrize("n", [1, 0])
def test_hardly_any_atoms_are_drawn(n):
    assert (share_drawn(shaking(tracks(n_tracks=n))) > 0) == bool(n)


def test_frames_that_could_not_be_linked_are_gaps():
    found = tracks(n_frames=1)
    figure = motion(found.assign(rotation=found["rotation"] * np.nan))
    figure.canvas.draw()
    assert np.isnan(figure.axes[1].lines[0].get_ydata()).all()


def test_atoms_that_came_or_went_are_counted_by_coordination_and_depth():
    columns = {
        "first_frame": [0, 0, 0, 2, 3],
        "end": [0, 1, 1, 0, 2],
        "first_coordination": [12, 7, 7, 5, 6],
        "last_coordination": [12, 6, 7, 9, 6],
        "first_depth": [5.0, 0.0, 0.0, 0.2, 1.4],
        "last_depth": [5.0, 0.1, 0.0, 0.2, 1.4],
    }
    found = xr.Dataset({name: ("track", np.array(values)) for name, values in columns.items()})
    figure = turnover(found)
    by_number, by_depth = figure.axes
    assert [sum(column) for column in bars(by_number)] == [2, 2]
    assert (by_number.get_xlabel(), by_depth.get_xlabel()) == (
        "coordination number",
        "depth below the nearest face of the convex hull / Å",
    )
    assert legend(by_depth) == ["born", "lost"]
    assert_drawn(figure)


def test_nothing_is_doubted_before_all_frames_are_done():
    assert doubts(Results(xr.DataTree.from_dict({"tracks": tracks()}))) == []
