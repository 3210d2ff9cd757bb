from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from stemdask.figures import atoms
from stemdask.figures.projection import from_far

RANDOM = np.random.default_rng(0)


def rdf(cutoff=3.4, bins=100):
    r = xr.DataArray(0.1 * (np.arange(bins) + 0.5), dims="r")
    return xr.Dataset({"g": ("r", np.abs(np.sin(r.values))), "cutoff": cutoff, "cutoff_err": 0.02}, coords={"r": r})


def particle(counts):
    return xr.Dataset({"coordination_histogram": ("cn", np.array(counts))})


def structure(n=30, padding=2):
    """Return atoms with padding after them, as a frame with fewer atoms than others has."""
    names = ("x", "y", "z", "q4_avg", "q6_avg", "w6_avg", "distance_to_center")
    values = {name: ("atom", np.append(RANDOM.normal(size=n), np.full(padding, np.nan))) for name in names}
    return xr.Dataset(values)


def bars(axes):
    return [[bar.get_height() for bar in group] for group in axes.containers]


def text_of(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_g_is_drawn_as_it_is_with_the_first_minimum_and_its_error():
    figure = atoms.pair_distribution(rdf())
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), rdf()["g"])
    assert axes.lines[1].get_xdata()[0] == 3.4
    assert "3.40 ± 0.02 Å" in text_of(figure)


def test_an_ideal_particle_lies_below_the_structure_on_the_same_distances():
    above, below = atoms.pair_distribution(rdf(), 10 * rdf(cutoff=3.2)).axes
    assert below.lines[0].get_ydata().max() == pytest.approx(10 * above.lines[0].get_ydata().max())
    assert above.get_xlim() == below.get_xlim()
    assert above.get_ylim()[1] < 2 < below.get_ylim()[1]


def test_no_first_minimum_is_drawn_where_none_was_found():
    figure = atoms.pair_distribution(rdf(cutoff=np.nan))
    assert len(figure.axes[0].lines) == 1
    assert not text_of(figure)


def test_coordination_numbers_are_counted_alone_and_compared_as_parts_of_all_atoms():
    counts, ideal = [0, 2, 6], [0, 0, 8, 8]
    alone = atoms.coordination(particle(counts)).axes[0]
    assert bars(alone) == [counts]
    beside = atoms.coordination(particle(counts), particle(ideal)).axes[0]
    assert bars(beside) == [[0, 25, 75], [0, 0, 50, 50]]
    assert beside.get_ylabel() == "atoms / %"


def test_a_coordination_number_beyond_a_full_shell_is_shown():
    counts = np.zeros(21, int)
    counts[14] = 3
    assert atoms.coordination(particle(counts)).axes[0].get_xlim()[1] > 14


@pytest.mark.parametrize("n", [30, 1, 0])
def test_many_few_and_no_atoms_are_drawn(n, tmp_path):
    found = structure(n)
    found["q6_avg"].attrs = {"units": "1", "long_name": "order"}
    atoms.structure(found).savefig(tmp_path / "structure.png")
    atoms.order_maps(found).savefig(tmp_path / "order.png")
    assert atoms.structure(found).axes[0].collections[0].get_offsets().shape == (n, 2)


def test_near_atoms_are_drawn_after_far_ones_and_padding_never():
    found = structure(30)
    order = from_far(found, "xz")
    assert sorted(order) == list(range(30))
    assert (np.diff(found["y"].values[order]) >= 0).all()


def test_marks_of_w6_follow_the_normalisation():
    def mark(normalised):
        axes = atoms.order_maps(structure(), normalised=normalised).axes[1]
        (found,) = (text.xy[0] for text in axes.texts if text.get_text() == "ico")
        return found

    q6, w6 = atoms.IDEAL["ico"][1:]
    assert mark(True) == w6
    assert mark(False) == pytest.approx(w6 * (q6**2 * 13 / (4 * np.pi)) ** 1.5)


def test_a_series_shows_a_gap_for_a_failed_frame_and_a_band_where_an_error_is_known():
    about = {"units": "angstrom", "long_name": "diameter"}
    series = xr.Dataset({"diameter": ("frame", np.array([1.0, np.nan, 3.0]), about)})
    plain = atoms.time_series(series).axes[0]
    np.testing.assert_array_equal(plain.lines[0].get_ydata(), series["diameter"])
    assert plain.get_ylabel() == "Å"
    assert not plain.collections
    banded = atoms.time_series(series, xr.Dataset({"diameter": ("frame", np.array([2.0, 1, 1]))})).axes[0]
    assert len(banded.collections) == 1
    assert banded.get_ylim()[0] == 0
