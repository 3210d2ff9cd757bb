import numpy as np
import xarray as xr
from drawn import assert_drawn, bars, legend

from stemdask.figures.atoms.facets import families


def test_the_particle_stands_beside_its_wulff_shape_with_what_is_no_facet():
    data = {
        "fraction": [0.2, 0.1, 0.4],
        "wulff_fraction": [0.22, 0, 0.78],
        "h": [1, 1, 1],
        "k": [0, 1, 1],
        "l": [0, 0, 1],
    }
    figure = families(xr.Dataset({name: ("facet_family", np.array(values)) for name, values in data.items()}))
    (axes,) = figure.axes
    assert_drawn(figure)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["{1 0 0}", "{1 1 0}", "{1 1 1}", "none"]
    np.testing.assert_allclose(bars(axes), [[20, 10, 40, 30], [22, 0, 78, 0]])
    assert legend(axes) == ["particle", "Wulff shape"]
