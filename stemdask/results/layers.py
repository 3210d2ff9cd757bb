"""Layers of napari as the tuples that its readers give: data, options and type. napari itself isn't needed.

The first axis is the frame, over which napari shows a slider; the others are lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Array, Floats

Layer: TypeAlias = tuple[Any, dict[str, Any], str]

#: What points are coloured by, the first of these that is there.
_COLOURS = ("sublattice", "label", "structure", "crystallinity")
#: Displacements are in thousandths of the unit of positions: pm of nm, and millipixel of pixel.
_UNIT_OF_DISPLACEMENTS = 1e-3
#: Parts of the distance of neighbours: the diameter of a point, and the length of an arrow as long as most.
_POINT, _ARROW = 0.3, 0.8
#: Å; sets of points whose neighbours aren't known.
_ONE = 1.0


def image(array: xr.DataArray, name: str, *, visible: bool = True) -> Layer:
    """Return images as a layer.

    Parameters
    ----------
    array
        (y, x), or with the frame before; lazy or not; coordinates `y` and `x` with their units.
    name
        Of the layer.
    visible
        Whether it is shown at first.
    """
    frames = [dim for dim in array.dims if dim not in ("y", "x")]
    places = [array[axis].to_numpy() for axis in "yx"]
    step = [float(place[1] - place[0]) if len(place) > 1 else _ONE for place in places]
    options = {
        "name": name,
        "scale": [1.0] * len(frames) + step,
        "translate": [0.0] * len(frames) + [float(place[0]) for place in places],
        "visible": visible,
        **_axes([*map(str, frames), "y", "x"], str(array["y"].attrs["units"])),
    }
    return array.data, options, "image"


def items(table: Any, axes: tuple[str, ...], units: str, name: str) -> Layer:
    """Return columns, cells or atoms as a layer: arrows where they have displacements `u` and `v`, otherwise points.

    Parameters
    ----------
    table
        DataFrame with `frame`, the axes and what else is known of each item, which become features.
    axes
        Columns of the table with positions, such as ("y", "x").
    units
        Of the positions.
    name
        Of the layer.
    """
    displaced = {"u", "v"} <= set(table.columns) and axes == ("y", "x")
    needed = [*axes, *(("u", "v") if displaced else ())]
    table = table[np.isfinite(table[needed].to_numpy(float)).all(axis=1)]
    places = table[["frame", *axes]].to_numpy(float)
    features = table.drop(columns=["frame", *axes]).reset_index(drop=True)
    options = {"name": name, "features": features, **_axes(["frame", *axes], units)}
    spacing = _spacing(places)
    if displaced:
        return _arrows(places, features, spacing, options)
    colour = next((key for key in _COLOURS if key in features), None)
    size = 2 * _radii(features["element"].to_numpy()) if "element" in features else _POINT * spacing
    return places, options | {"size": size} | ({"face_color": colour} if colour and len(places) else {}), "points"


def _arrows(places: Floats, features: Any, spacing: float, options: Mapping[str, Any]) -> Layer:
    """Return arrows of the true displacement, drawn longer by a factor, coloured by their direction."""
    along = np.zeros_like(places)
    along[:, 1:] = _UNIT_OF_DISPLACEMENTS * features[["v", "u"]].to_numpy(float)
    longest = float(np.percentile(np.hypot(along[:, 1], along[:, 2]), 90)) if len(along) else 0.0
    shown: dict[str, Any] = {"length": _ARROW * spacing / longest if longest > 0 else 1.0, "edge_width": 0.1 * spacing}
    if "angle" in features and len(places):
        shown |= {"edge_color": "angle", "edge_colormap": "hsv", "edge_contrast_limits": (-180.0, 180.0)}
    return np.stack([places, along], axis=1), {**options, **shown}, "vectors"


def _axes(names: list[str], units: str) -> dict[str, Any]:
    return {"axis_labels": names, "units": [units if name in ("z", "y", "x") else "pixel" for name in names]}


def _spacing(places: Floats) -> float:
    """Return the median distance of the nearest item in the first frame that has several."""
    for frame in np.unique(places[:, 0]):
        points = places[places[:, 0] == frame, 1:]
        if len(points) > 1:
            return float(np.median(cKDTree(points).query(points, k=2)[0][:, 1])) or _ONE
    return _ONE


def _radii(elements: Array) -> Floats:
    """Return covalent radii, angstrom; that of an element that isn't known is 1."""
    from ase.data import covalent_radii

    known = np.full(256, _ONE)
    known[: len(covalent_radii)] = covalent_radii
    return np.asarray(known[elements.astype(int)])
