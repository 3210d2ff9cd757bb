"""Strain, rotation and the shape of the cells as maps."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.images.cells import strain
from stemdask.figures.canvas import height_over, value_map
from stemdask.figures.numbers import measured as stated
from stemdask.figures.style import ACCENT, new, style
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results


def strain_maps(found: xr.Dataset) -> Figure:
    """Draw the strains and the rotation of the cells of one frame.

    Parameters
    ----------
    found
        ``/strain`` of the frame: `y`, `x`, `exx`, `eyy`, `exy`, `rotation` (cell).
    """
    with style():
        y, x = (place[np.isfinite(place)] for place in (found[strain.Y.name].values, found[strain.X.name].values))
        figure, panels = new(9.4, 2.0 * height_over(y, x, 3.9), 2, 2, sharex=True, sharey=True)
        for axes, measured in zip(panels.flat, (strain.EXX, strain.EYY, strain.EXY, strain.ROTATION), strict=True):
            value_map(axes, found, found[measured.value.name], signed=True)
            axes.label_outer()
    return figure


def ratio_map(found: xr.Dataset) -> Figure:
    """Draw the ratio of the lattice parameters of the cells of one frame, and its distribution.

    Parameters
    ----------
    found
        ``/strain`` of the frame: `y`, `x`, `c_over_a` (cell).
    """
    ratio = found[strain.C_OVER_A.value.name]
    finite = ratio.values[ratio.notnull().values]
    with style():
        figure, (left, right) = new(9.4, 3.9, 1, 2, width_ratios=(1.4, 1))
        value_map(left, found, ratio, signed=False)
        left.set_title("Length of b over length of a")
        right.hist(finite, bins="auto", color=ACCENT)
        right.set(xlabel="length of b over length of a", ylabel="cells", title=f"{finite.size} cells")
    return figure


def plot_strain(results: Results, frame: int = 0) -> Figure:
    """Draw the strains and the rotation of the cells of a frame."""
    return strain_maps(results.at(strain.Y.group, frame))


def plot_ratio(results: Results, frame: int = 0) -> Figure:
    """Draw the ratio of the lattice parameters of the cells of a frame."""
    return ratio_map(results.at(strain.Y.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State the medians, and show the maps."""
    found = results.at(strain.Y.group, frame)
    part = Part(f"Strain of frame {frame}")
    for measured in (strain.EXX, strain.EYY, strain.EXY, strain.ROTATION, strain.C_OVER_A):
        value, error = (found[variable.name].median(keep_attrs=True) for variable in (measured.value, measured.error))
        part.rows.append((f"median {measured.value.long_name}, error of one cell", stated(value, error)))
    part.show("Strain and rotation of the cells.", lambda: plot_strain(results, frame))
    part.show("Lattice parameters of the cells, b over a.", lambda: plot_ratio(results, frame))
    return [part]


def method(params: strain.StrainParams) -> Method:
    """Say what strain is measured against."""
    given = params.reference_a is not None or params.reference_b is not None
    return Method(
        f"The strain of each cell was measured against {'the given' if given else 'the mean'} lattice vectors."
    )


SHOWS = Shows(parts, {"strain": plot_strain, "c_over_a": plot_ratio}, method=method)
