import numpy as np
import xarray as xr
from drawn import assert_drawn, legend

from stemdask.figures.atoms.short_range_order import parameters


def order(center, neighbor):
    alpha = np.tile([-0.33, 1.0, np.nan], (len(center), 1))
    pair = ("ordered_pair", "neighbor_shell")
    data = {"alpha": (pair, alpha), "alpha_err": (pair, 0.05 + 0 * alpha)}
    return xr.Dataset(data | {"center": ("ordered_pair", center), "neighbor": ("ordered_pair", neighbor)})


def test_unlike_elements_are_drawn_in_both_directions():
    figure = parameters(order([26, 26, 78, 78], [26, 78, 26, 78]))
    assert legend(figure.axes[0]) == ["Pt around Fe", "Fe around Pt"]
    assert_drawn(figure)


def test_one_element_has_nothing_to_draw():
    assert parameters(order([78], [78])).axes[0].get_legend() is None
