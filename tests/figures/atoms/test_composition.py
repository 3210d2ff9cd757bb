import numpy as np
import xarray as xr
from drawn import assert_drawn, legend

from stemdask.figures.atoms.composition import segregation, shells


def composition(elements=(28, 78)):
    place = np.arange(1.0, 10.0, 2.0)
    data = {"element": ("species", np.array(elements))}
    for name in ("radius", "depth"):
        rising = np.array([place / 10, 1 - place / 10])[: len(elements)]
        data |= {f"fraction_by_{name}": (("species", name), rising)}
        data |= {f"fraction_by_{name}_err": (("species", name), 0.05 + 0 * rising)}
    return xr.Dataset(data, coords={"radius": place, "depth": place})


def test_each_element_is_drawn_against_radius_and_depth():
    figure = shells(composition())
    assert_drawn(figure)
    assert legend(figure.axes[0]) == ["Ni", "Pt"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["distance to the centre / Å", "depth below the surface / Å"]


def test_only_a_clear_difference_is_called_one():
    excess, error = np.array([-0.2, 0.2]), np.array([0.02, 0.02])
    assert segregation(["Ni", "Pt"], excess, error) == "The surface is richer than the core in Pt (by 0.200 ± 0.020)."
    assert "don't differ" in segregation(["Ni", "Pt"], excess, 5 * error)
    assert "no core" in segregation(["Ni", "Pt"], excess * np.nan, error)
