from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, legend, share_drawn, texts, title

from stemdask.figures.images import domains as figures


def cells(n=36):
    row, column = np.indices((6, 6)).reshape(2, -1)[:, :n]
    u, v = np.random.default_rng(0).normal(10, 3, (2, n))
    lengths, units = {"units": "nm"}, {"units": "pm"}
    data = {"y": (0.4 * row, lengths), "x": (0.4 * column, lengths), "u": (u, units), "v": (v, units)}
    return xr.Dataset({name: ("cell", np.append(values, np.nan), about) for name, (values, about) in data.items()})


def domains(frames=5, k=2):
    series = {name: (("frame", "domain"), np.full((frames, k), 0.5), {"units": "pm"}) for name in ("mean_u", "mean_v")}
    series |= {f"{name}_err": (dims, values / 5, about) for name, (dims, values, about) in series.items()}
    series["fraction"] = (("frame", "domain"), np.tile([0.25, 0.75], (frames, 1)))
    curve = ("n_clusters", np.array([np.nan, 3.0, 1.0, 2.0]))
    curves = dict.fromkeys(("bic", "evidence", "spatial", "silhouette", "stability"), curve)
    walls = (("frame", "domain", "other_domain"), np.ones((frames, k, k)) - np.eye(k), {"units": "nm"})
    places = {
        name: (walls[0], walls[1] * at, walls[2]) for name, at in (("wall_length", 1), ("wall_x", 3), ("wall_y", 7))
    }
    return xr.Dataset(series | curves | places)


def test_cells_have_the_colour_of_their_domain_and_their_share_is_stated():
    label = np.array([0] * 18 + [1] * 9 + [-1] * 9 + [-1])
    figure = figures.domain_map(cells(), label, [0.0, 180.0], ["right", "left"])
    left, right = figure.axes
    squares, arrows = left.collections
    colours = {0: figures.domain_colours([0.0])[0], 1: figures.domain_colours([180.0])[0], -1: (0xDD / 255,) * 3}
    np.testing.assert_allclose(squares.get_facecolors()[:, :3], [colours[k] for k in label[:36].tolist()])
    np.testing.assert_array_equal(arrows.U, cells()["u"][:36])
    assert legend(left) == ["not significant: 25 %", "right, 0°: 50 %", "left, 180°: 25 %"]
    assert [len(points.get_offsets()) for points in right.collections[1:]] == [9, 18, 9]
    assert (title(left), left.get_xlabel(), right.get_xlabel()) == ("2 domains", "x / nm", "u / pm (right)")
    assert_drawn(figure)


@pytest.mark.parametrize("n", [1, 0])
def test_maps_of_one_and_no_cells_are_drawn(n):
    label = np.append(np.zeros(n, dtype=int), -1)
    figure = figures.domain_map(cells(n), label, [45.0], ["0"])
    assert title(figure.axes[0]) == "1 domain"
    assert (share_drawn(figure) > 0) == bool(n)


def test_domains_of_one_direction_have_colours_of_their_own():
    colours = figures.domain_colours([10.0, 12.0, 190.0])
    assert len(set(colours)) == 3
    assert figures.domain_colours([179.0])[0] == pytest.approx(figures.domain_colours([-181.0])[0])


def test_what_speaks_for_each_number_stands_beside_what_is_needed():
    figure = figures.evidence(domains(), 3.0, 0.8)
    bic, evidence, stability = figure.axes
    np.testing.assert_array_equal(bic.lines[0].get_ydata(), [np.nan, 3, 1, 2])  # above the least, on a logarithm
    np.testing.assert_array_equal(evidence.lines[0].get_ydata(), [np.nan, 3, 1, 2])
    assert evidence.lines[2].get_ydata()[0] == 3
    assert legend(evidence) == ["peaks", "neighbours"]
    assert stability.lines[2].get_ydata()[0] == 0.8
    assert texts(figure) == "needed needed"
    assert legend(stability) == ["stability", "silhouette"]
    assert_drawn(figure)


def test_frames_without_results_are_gaps_in_the_length_of_the_walls():
    found = domains(5)
    found["wall_length"][2] = np.nan
    walls = figures.fractions(found, [0.0, 180.0], ["up", "down"]).axes[2]
    assert np.isnan(walls.lines[0].get_ydata()).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("frames", [5, 1])
def test_fractions_displacements_and_walls_are_drawn_by_frame(frames):
    figure = figures.fractions(domains(frames), [0.0, 180.0], ["up", "down"])
    part, length, walls, x, y = figure.axes
    assert [line.get_ydata()[0] for line in part.lines] == [25, 75]
    assert length.lines[0].get_ydata() == pytest.approx(np.full(frames, np.sqrt(0.5)))
    assert list(walls.lines[0].get_ydata()) == [1] * frames  # a wall has two sides and is counted once
    assert legend(part) == ["up", "down"]
    assert [list(axes.lines[0].get_ydata()) for axes in (x, y)] == [[3] * frames, [7] * frames]
    assert (legend(x), len(x.lines)) == (["up | down"], 1)
    labels = ["cells / %", "displacement / pm", "wall length / nm"]
    assert [axes.get_ylabel() for axes in figure.axes[:3]] == labels
    assert share_drawn(figure) > 0


def test_a_confusion_matrix_is_in_per_cent_of_the_true_class():
    figure = figures.confusion(np.array([[9.0, 1], [np.nan, 5]]), ["up", "down"])
    assert texts(figure) == "90.0 10.0 – –"
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["up", "down"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert_drawn(figure)


def test_the_surroundings_of_each_domain_have_its_colour():
    place = np.random.default_rng(0).normal(size=(40, 2))
    embedded = xr.Dataset({"position": (("shown", "axis"), place), "label": ("shown", np.arange(40) % 2)})
    figure = figures.embedding(embedded, [0.0, 180.0])
    none, one, other = figure.axes[0].collections
    assert not len(none.get_offsets())
    np.testing.assert_array_equal(one.get_offsets(), place[::2])
    np.testing.assert_allclose(other.get_facecolors()[0, :3], figures.domain_colours([180.0])[0])
    assert_drawn(figure)
