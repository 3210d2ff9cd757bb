import numpy as np
import xarray as xr
from drawn import assert_drawn

from stemdask.figures.atoms.diffraction import pattern


def diffraction(longest=10.0):
    q = np.arange(0.1, longest, 0.1)
    with np.errstate(invalid="ignore"):
        angle = np.degrees(2 * np.arcsin(q * 1.5406 / (4 * np.pi)))
    curve = 1 + 200 * np.exp(-((q / 0.3) ** 2)) + np.exp(-(((q - 3) / 0.2) ** 2))
    data = dict.fromkeys(("intensity", "structure_factor"), ("q", curve)) | {"two_theta": ("q", angle)}
    return xr.Dataset(data, coords={"q": q})


def test_scattering_by_the_whole_particle_does_not_flatten_the_peaks():
    figure = pattern(diffraction())
    assert_drawn(figure)
    assert all(1.9 < axes.get_ylim()[1] < 2.4 for axes in figure.axes)
    assert figure.axes[1].get_xlabel() == "q / Å⁻¹"


def test_angles_stand_where_they_belong():
    figure = pattern(diffraction())
    (top,) = figure.axes[0].child_axes
    labels = {label.get_text(): tick for tick, label in zip(top.get_xticks(), top.get_xticklabels(), strict=True)}
    assert abs(labels["60"] - 4 * np.pi * np.sin(np.radians(30)) / 1.5406) < 0.01
    assert "150" in labels


def test_small_angles_alone_can_be_drawn():
    pattern(diffraction(0.8)).canvas.draw()
