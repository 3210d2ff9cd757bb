from __future__ import annotations

import numpy as np
import xarray as xr
from drawn import assert_drawn, bars, legend, share_drawn

from stemdask.figures.atoms.coordination import histogram


def particle(counts):
    return xr.Dataset({"coordination_histogram": ("cn", np.array(counts))})


def test_coordination_numbers_are_counted_alone():
    figure = histogram(particle([0, 2, 6]))
    (axes,) = figure.axes
    assert bars(axes) == [[0, 2, 6]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("coordination number", "atoms")
    assert_drawn(figure)


def test_beside_an_ideal_particle_they_are_parts_of_all_atoms():
    figure = histogram(particle([0, 2, 6]), particle([0, 0, 8, 8]))
    (axes,) = figure.axes
    assert bars(axes) == [[0, 25, 75], [0, 0, 50, 50]]
    assert axes.get_ylabel() == "atoms / %"
    assert legend(axes) == ["structure, 8 atoms", "ideal particle, 16 atoms"]
    assert_drawn(figure)


def test_a_coordination_number_beyond_a_full_shell_is_shown():
    counts = np.zeros(21, int)
    counts[14] = 3
    assert histogram(particle(counts)).axes[0].get_xlim()[1] > 14


def test_no_atoms_have_no_bars():
    assert share_drawn(histogram(particle(np.zeros(21, int)), particle(np.zeros(21, int)))) < 1e-3
