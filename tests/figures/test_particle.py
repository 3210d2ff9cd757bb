from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from stemdask.figures import motion, particle

KINDS = {"flag_values": [0, 1, 2, 5], "flag_meanings": "disordered fcc hcp surface"}
RANDOM = np.random.default_rng(0)


def structure(kinds, depth=None):
    n = len(kinds)
    found = {axis: ("atom", RANDOM.normal(size=n)) for axis in "xyz"}
    found["structure"] = ("atom", np.array(kinds, np.int8), KINDS)
    found["strain_volume"] = ("atom", 0.01 * np.arange(n) if n else np.empty(0))
    if depth is not None:
        found["depth"] = ("atom", np.array(depth, float))
    return xr.Dataset(found)


def rdf(pairs=1, noise=True):
    counts = np.array([0, 40, 90, 30, 12, 0, 2 if noise else 0])
    g = np.where(counts > 0, 1.5, 0.0)
    g[-1] = 90.0
    elements = np.array([[28, 28], [28, 78], [78, 78]])[:pairs]
    data = {"g": ("r", 0.5 * g), "g_finite": ("r", g), "counts": ("r", counts)}
    data["g_partial"] = (("pair", "r"), np.tile(g, (pairs, 1)))
    data |= {f"pair_element_{k + 1}": ("pair", elements[:, k]) for k in (0, 1)}
    return xr.Dataset(data, coords={"r": 0.5 + np.arange(7.0)})


def tracks(n_frames=4, n_tracks=3):
    first = np.zeros(n_frames, int)
    first[:1] = n_tracks
    data = {name: ("frame", np.arange(float(n_frames))) for name in ("msd", "rotation", "rms")}
    data |= {"n_born": ("frame", first), "n_lost": ("frame", np.zeros(n_frames, int)), "lindemann": 0.02}
    data |= {name: ("track", RANDOM.normal(size=n_tracks)) for name in "xyz"}
    data |= {"lindemann_index": ("track", np.full(n_tracks, 0.02)), "n_frames": ("track", np.full(n_tracks, n_frames))}
    return xr.Dataset(data)


def test_the_noise_of_few_pairs_at_the_far_end_is_left_out():
    axes = particle.finite_pair_distribution(rdf()).axes[0]
    corrected, counted = axes.lines[:2]
    assert corrected.get_xdata()[-1] == counted.get_xdata()[-1] == 4.5
    assert axes.get_ylim()[1] < 3
    assert list(axes.lines[2].get_ydata()) == [1, 1]


def test_pairs_of_elements_are_drawn_where_there_is_more_than_one():
    assert len(particle.finite_pair_distribution(rdf(pairs=1)).axes) == 1
    below = particle.finite_pair_distribution(rdf(pairs=3)).axes[1]
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["Ni–Ni", "Ni–Pt", "Pt–Pt"]


def test_bars_count_each_structure_type():
    *_, bars = particle.structure_types(structure([1, 1, 2, 5, 5, 5, -1])).axes
    widths = dict(
        zip([t.get_text() for t in bars.get_yticklabels()], [b.get_width() for b in bars.patches], strict=True)
    )
    assert widths == {"disordered": 0, "surface": 3, "hcp": 1, "fcc": 2}


def test_strain_is_averaged_by_layers_of_depth_in_percent():
    found = structure([1] * 6, depth=[0.1, 0.3, 1.0, 2.5, 3.5, np.nan])
    panel = particle.strain(found).axes[1]
    mean = panel.containers[0].lines[0]
    np.testing.assert_allclose(mean.get_xdata(), [1.4 / 3, 3.0])
    np.testing.assert_allclose(mean.get_ydata(), [1.0, 3.5])


def test_strain_without_depth_is_drawn_as_a_map_alone():
    assert "depth below the surface / Å" not in [a.get_xlabel() for a in particle.strain(structure([1, 1])).axes]


def test_profiles_show_means_errors_and_the_atoms_of_each_shell():
    about = {"units": "angstrom", "long_name": "mean mean bond length of the shell"}
    data = {"n": ("shell", [1, 7]), "mean_bond_length": ("shell", [2.8, 2.7], about)}
    data["mean_bond_length_err"] = ("shell", [np.nan, 0.1])
    where = ("shell", [1.0, 3.0], {"long_name": "depth below the surface, middle of the shell"})
    length, atoms = particle.profiles(xr.Dataset(data, coords={"shell": where}), ["mean_bond_length"]).axes
    np.testing.assert_array_equal(length.containers[0].lines[0].get_ydata(), [2.8, 2.7])
    assert length.get_title(loc="left") == "mean bond length / Å"
    assert length.get_xlabel() == "depth below the surface / Å"
    assert [bar.get_height() for bar in atoms.patches] == [1, 7]


def test_the_atoms_of_the_first_frame_are_not_drawn_as_births():
    born, _ = motion.tracks(tracks()).axes[2].containers
    assert [bar.get_height() for bar in born] == [0, 0, 0, 0]


def test_only_structure_types_that_occur_have_a_line():
    kinds = ("structure_kind", np.array([0, 1, 2]), {"flag_values": [0, 1, 2], "flag_meanings": "disordered fcc hcp"})
    counts = (("frame", "structure_kind"), np.array([[1, 5, 0], [2, 4, 0]]))
    figure = motion.structure_in_time(xr.Dataset({"count": counts, "structure_kind": kinds}))
    assert [line.get_label() for line in figure.axes[0].lines] == ["disordered", "fcc"]


@pytest.mark.parametrize("n", [1, 0])
def test_a_frame_with_hardly_any_atoms_is_drawn(n, tmp_path):
    found = structure([0] * n, depth=[np.nan] * n)
    found["strain_volume"] = found["strain_volume"] * np.nan
    none, unlinked = rdf() * np.nan, tracks(n_frames=1, n_tracks=n)
    none["counts"] = ("r", np.zeros(7, int))
    for figure in (
        particle.structure_types(found),
        particle.strain(found),
        particle.finite_pair_distribution(none.assign_coords(r=rdf()["r"])),
        motion.shaking(tracks(n_tracks=n)),
        motion.tracks(unlinked.assign(rotation=unlinked["rotation"] * np.nan)),
    ):
        figure.savefig(tmp_path / "figure.png")
