import numpy as np
import xarray as xr
from drawn import assert_drawn, legend

from stemdask.figures.atoms.bond_angles import angles


def bond_angles(counts):
    angle = np.linspace(0, 180, 19)
    count = np.array(counts)[:, None] * (angle == 60)
    elements = {"center": [78, 78, 28], "end_1": [78, 28, 28], "end_2": [78, 78, 28]}
    data = {name: ("triplet", np.array(values[: len(counts)])) for name, values in elements.items()}
    data |= {"count": (("triplet", "angle"), count), "density": (("triplet", "angle"), count / 10.0)}
    return xr.Dataset(data, coords={"angle": ("angle", angle, {"units": "degree"})})


def test_the_triplets_with_the_most_angles_come_first_and_empty_ones_not():
    figure = angles(bond_angles([30, 2000, 0]))
    assert legend(figure.axes[0]) == ["Ni–Pt–Pt, 2,000 angles", "Pt–Pt–Pt, 30 angles"]
    assert figure.axes[0].get_xlabel() == "bond angle / °"
    assert_drawn(figure)


def test_atoms_without_bonds_leave_empty_axes():
    assert angles(bond_angles([0])).axes[0].get_legend() is None
