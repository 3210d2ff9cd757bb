from __future__ import annotations

import numpy as np
import xarray as xr
from drawn import assert_drawn, bars, title

from stemdask.figures.atoms.radial_profile import profiles


def test_profiles_show_means_errors_and_the_atoms_of_each_shell():
    about = {"units": "angstrom", "long_name": "mean mean bond length of the shell"}
    data = {"n": ("shell", [1, 7]), "mean_bond_length": ("shell", [2.8, 2.7], about)}
    data["mean_bond_length_err"] = ("shell", [np.nan, 0.1])
    where = ("shell", [1.0, 3.0], {"long_name": "depth below the surface, middle of the shell"})
    figure = profiles(xr.Dataset(data, coords={"shell": where}), ["mean_bond_length"])
    length, atoms = figure.axes
    means, _, (errors,) = length.containers[0]
    np.testing.assert_array_equal(means.get_ydata(), [2.8, 2.7])
    np.testing.assert_allclose(errors.get_segments()[1][:, 1], [2.6, 2.8])
    assert title(length) == "mean bond length / Å"
    assert length.get_xlabel() == "depth below the surface / Å"
    assert bars(atoms)[-1] == [1, 7]
    assert_drawn(figure)
