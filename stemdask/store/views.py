"""``tree.stemdask``: tables and figures of an opened store."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from stemdask.model import RAGGED, FrameStatus


@xr.register_datatree_accessor("stemdask")  # type: ignore[no-untyped-call]
class Results:
    """Views of the results of a run, beside what xarray itself offers."""

    def __init__(self, tree: xr.DataTree) -> None:
        self._tree = tree

    def table(self, group: str) -> Any:
        """Return a group as a tidy pandas DataFrame: a row for each column, cell, atom or bond that there is.

        Parameters
        ----------
        group
            Such as ``columns`` or ``atoms``. Its padding is left out, by the true number of each frame.
        """
        dataset = self._tree[group].to_dataset()
        shapes = [tuple(map(str, variable.dims)) for variable in dataset.data_vars.values() if variable.dims]
        dims = next((shape for shape in shapes if shape[1:] and shape[1] in RAGGED), shapes[0])[:2]
        chosen = dataset[[name for name, variable in dataset.data_vars.items() if set(variable.dims) <= set(dims)]]
        frame = chosen.to_dataframe(dim_order=list(dims)).reset_index()
        if dims[-1] in RAGGED:
            numbers = self._tree[f"frames/n_{dims[-1]}s"].to_numpy()
            frame = frame[frame[dims[-1]].to_numpy() < numbers[frame["frame"].to_numpy()]]
        return frame.reset_index(drop=True)

    def good(self) -> NDArray[np.intp]:
        """Return the indices of the frames that have results."""
        return np.flatnonzero(self._tree["frames/frame_status"].to_numpy() == FrameStatus.OK)
