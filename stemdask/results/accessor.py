"""``tree.stemdask``: tables and figures of an opened store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from stemdask.analyses import registry
from stemdask.analyses.atoms.time import tracks
from stemdask.errors import StoreError
from stemdask.model import RAGGED
from stemdask.results import shows
from stemdask.results.views import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@xr.register_datatree_accessor("stemdask")  # type: ignore[no-untyped-call]
class Accessor(Results):
    """Views of the results of a run, beside what xarray itself offers."""

    @property
    def plot(self) -> Plots:
        """Figures of the run, such as ``plot.displacement(frame=0)``."""
        return Plots(self)

    def table(self, group: str) -> Any:
        """Return a group as a tidy pandas DataFrame: one row per column, cell, atom or bond.

        Parameters
        ----------
        group
            Such as ``columns`` or ``atoms``. Padding is left out, using the true number in each frame.

        Examples
        --------
        >>> import stemdask as sd
        >>> tree = sd.open_results("stack.zarr")
        >>> tree.stemdask.table("displacement")[["i", "j", "u", "u_err"]].columns.tolist()
        ['i', 'j', 'u', 'u_err']
        """
        dataset = self._group(group)
        shapes = [tuple(map(str, variable.dims)) for variable in dataset.data_vars.values() if variable.dims]
        dims = next((shape for shape in shapes if shape[1:] and shape[1] in RAGGED), shapes[0])[:2]
        chosen = dataset[[name for name, variable in dataset.data_vars.items() if set(variable.dims) <= set(dims)]]
        frame = chosen.to_dataframe(dim_order=list(dims)).reset_index()
        if dims[-1] in RAGGED:
            numbers = self._tree[f"frames/n_{dims[-1]}s"].to_numpy()
            frame = frame[frame[dims[-1]].to_numpy() < numbers[frame["frame"].to_numpy()]]
        return frame.reset_index(drop=True)

    def track(self, number: int) -> xr.Dataset:
        """Return everything known about one atom, frame by frame, for the frames in which it was seen.

        Parameters
        ----------
        number
            The atom, as ``atoms/track`` counts them.
        """
        atoms = self._group(tracks.TRACK.group)
        if tracks.TRACK.name not in atoms:
            raise StoreError(
                "the run did not track atoms", remedy="Add the analysis 'tracks' to the config and run it again"
            )
        frame, atom = np.nonzero(atoms[tracks.TRACK.name].to_numpy() == number)
        if not frame.size:
            raise StoreError("no atom has this track number", value=number)
        chosen = atoms[[name for name, variable in atoms.data_vars.items() if variable.dims == ("frame", "atom")]]
        places = (xr.DataArray(index, dims="frame") for index in (frame, atom))
        found = chosen.isel(dict(zip(("frame", "atom"), places, strict=True)))
        return found.assign_coords(frame=("frame", frame))

    def to_hyperspy(self, frame: int = 0) -> Any:
        """Return the image of a frame as a HyperSpy ``Signal2D``, its columns as markers."""
        from stemdask.adapters import hyperspy

        columns = self.at("columns", frame) if "columns" in self._tree else None
        return hyperspy.signal(self.needed_image(frame), columns)

    def view(self) -> Any:
        """Return the viewer of the store, which a notebook displays; it needs ``stemdask[view]``."""
        # The viewer lies above this room, and is an extra: it is imported when it is asked for, as figures are.
        return import_module("stemdask.view.entrance").in_notebook(self._tree)


class Plots:
    """Figures by name, of the analyses of a run; each is a matplotlib Figure.

    Examples
    --------
    >>> import stemdask as sd
    >>> plot = sd.open_results("stack.zarr").stemdask.plot
    >>> dir(plot)
    ['columns', 'displacement', 'displacement_maps', 'distribution', 'fit_residual', 'inspection', 'lattice']
    >>> plot.displacement(frame=0).savefig("map.png")
    """

    def __init__(self, results: Results) -> None:
        self._results = results

    def __getattr__(self, name: str) -> Callable[..., Figure]:
        for shown in shows.of_run(self._results):
            if name in shown.plots:
                return partial(shown.plots[name], self._results)
        raise _no_figure(self._results, name, dir(self))

    def __dir__(self) -> list[str]:
        return sorted(name for shown in shows.of_run(self._results) for name in shown.plots)


def _no_figure(results: Results, name: str, there: list[str]) -> Exception:
    """Return the error for a figure that the run doesn't have: misspelt, or of an analysis that didn't run."""
    if not name.startswith("_"):
        for analysis in registry.of_kind(results.kind):
            shown = shows.shown_by(analysis)
            if shown is not None and name in shown.plots:
                return StoreError(
                    f"the run has no results of '{analysis.name}', which '{name}' draws", allowed=", ".join(there)
                )
    return AttributeError(f"no figure is called '{name}'; available: {', '.join(there)}")
