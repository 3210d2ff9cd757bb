import numpy as np
import xarray as xr
from drawn import assert_drawn, legend

from stemdask.figures.atoms.centrosymmetry import core_and_surface


def atoms(n=40):
    place = np.random.default_rng(0).uniform(-9, 9, (3, n))
    values = {axis: ("atom", place[k]) for k, axis in enumerate("xyz")}
    outside = np.arange(n) % 2
    return xr.Dataset(values | {"centrosymmetry": ("atom", 0.1 + 9.0 * outside), "surface": ("atom", outside)})


def test_core_and_surface_are_drawn_apart():
    figure = core_and_surface(atoms())
    assert_drawn(figure)
    assert legend(figure.axes[1]) == ["surface, 20 atoms", "core, 20 atoms"]
    assert figure.axes[1].get_xlabel() == "centrosymmetry / Å²"


def test_a_particle_without_a_core_is_drawn_too():
    figure = core_and_surface(atoms().isel(atom=slice(1, None, 2)))
    assert legend(figure.axes[1])[1] == "core, 0 atoms"
    assert_drawn(figure)
