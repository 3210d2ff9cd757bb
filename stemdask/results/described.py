"""What a store says of its variables, brought to where xarray and writers of netCDF look for it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from stemdask.model import RAGGED
from stemdask.store import layout


def complete(tree: xr.DataTree) -> xr.DataTree:
    """Give every group of an opened store all that belongs to it; nothing is read.

    Coordinates that are named by their path are those of another group, which xarray doesn't look for. Values of flags
    get the type of their variable, which JSON can't say, and coordinates no fill value: CF demands both.
    """
    variables = {f"{node.path}/{name}"[1:]: array for node in tree.subtree for name, array in node.variables.items()}
    for node in tree.subtree:
        dataset = node.to_dataset(inherit=False)
        found: dict[str, xr.Variable] = {}
        for name, variable in dataset.variables.items():
            if "flag_values" in variable.attrs:
                variable.attrs["flag_values"] = np.array(variable.attrs["flag_values"], variable.dtype)
            if name in dataset.dims:
                variable.encoding["_FillValue"] = None
            named = str(variable.encoding.get("coordinates", "")).split()
            counts = [layout.count_of(dim) for dim in RAGGED if dim in variable.dims]
            paths = [path.removeprefix("/") for path in (*named, *counts)]
            found |= {_name(path): variables[path] for path in paths if "/" in path and path in variables}
            if named:
                variable.encoding["coordinates"] = " ".join(map(_name, paths))
        there = {name: variable for name, variable in found.items() if name not in dataset}
        node.dataset = dataset.assign_coords({name: _elsewhere(variable) for name, variable in there.items()})
    return tree


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _elsewhere(variable: xr.Variable) -> xr.Variable:
    """Return a variable for another group, where its error isn't."""
    found = variable.copy(deep=False)
    found.attrs = {key: value for key, value in variable.attrs.items() if key != "ancillary_variables"}
    return found
