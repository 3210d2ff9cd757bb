import numpy as np
import xarray as xr
from drawn import assert_drawn

from stemdask.figures.atoms.voronoi import indices, volumes_and_indices


def atoms(n=30, n_open=10):
    place = np.random.default_rng(0).uniform(-9, 9, (3, n))
    is_open = np.arange(n) < n_open
    data = {axis: ("atom", place[k]) for k, axis in enumerate("xyz")}
    data |= {"voronoi_volume": ("atom", np.where(is_open, np.nan, 15.0 + place[0]))}
    data |= {"voronoi_open": ("atom", is_open.astype(int))}
    return xr.Dataset(data | {f"voronoi_n{k}": ("atom", np.where(is_open, -1, 12 * (k == 5))) for k in (3, 4, 5, 6)})


def test_indices_are_written_as_in_the_field():
    assert indices(atoms()) == [("⟨0 0 12 0⟩", 20)]
    assert_drawn(volumes_and_indices(atoms()))


def test_open_cells_alone_have_no_index():
    assert indices(atoms(n_open=30)) == []
    volumes_and_indices(atoms(n_open=30)).canvas.draw()
