import numpy as np
import xarray as xr
from drawn import assert_drawn, legend

from stemdask.figures.atoms.nearest import distances


def test_each_pair_of_elements_is_drawn_with_its_extremes():
    mean = 2.5 + np.array([[0, 0.3, 0.6], [0.1, 0.2, np.nan]])
    pair = ("ordered_pair", "neighbor_rank")
    data = {"mean": (pair, mean), "std": (pair, 0.1 + 0 * mean), "min": (pair, mean - 0.2), "max": (pair, mean + 0.3)}
    data |= {"center": ("ordered_pair", [78, 28]), "neighbor": ("ordered_pair", [28, 78])}
    figure = distances(xr.Dataset(data, coords={"neighbor_rank": [1, 2, 3]}))
    assert_drawn(figure)
    assert legend(figure.axes[0]) == ["Ni around Pt", "Pt around Ni"]
    assert figure.axes[0].get_ylabel() == "distance / Å"
