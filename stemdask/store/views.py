"""``tree.stemdask``: tables and figures of an opened store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import yaml
from numpy.typing import NDArray

from stemdask.errors import StemdaskError, StoreError
from stemdask.model import RAGGED, FrameStatus, ImageFrame
from stemdask.sources import opening

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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

    @property
    def plot(self) -> Plots:
        """Figures of one frame, such as ``plot.displacement(frame=0)``."""
        return Plots(self)

    def at(self, group: str, frame: int) -> xr.Dataset:
        """Return a group of one frame, loaded; raise StoreError where the run has no such results."""
        if group not in self._tree:
            raise StoreError(f"the run has no results in '{group}'", allowed=", ".join(sorted(self._tree.children)))
        dataset = self._tree[group].to_dataset()
        return (dataset.isel(frame=frame) if "frame" in dataset.dims else dataset).load()

    def image(self, frame: int) -> ImageFrame | None:
        """Read the image of a frame from the input; None where it can't be read from here."""
        section = yaml.safe_load(self._tree.attrs["config"])["input"]
        section.pop("calibrate_from", None)
        try:
            found = opening.open_source(section.pop("path"), **section).read(frame)
        except (StemdaskError, OSError):
            return None
        return found if isinstance(found, ImageFrame) else None

    def to_hyperspy(self, frame: int = 0) -> Any:
        """Return the image of a frame as a HyperSpy ``Signal2D``, its columns as markers."""
        from stemdask.adapters import hyperspy

        image = self.image(frame)
        if image is None:
            raise StoreError("the image can't be read from here", remedy="Run where the input is")
        columns = self.at("columns", frame) if "columns" in self._tree else None
        units = str(columns["y"].attrs["units"]) if columns is not None else "nm"
        return hyperspy.signal(image, columns, units)

    def good(self) -> NDArray[np.intp]:
        """Return the indices of the frames that have results."""
        return np.flatnonzero(self._tree["frames/frame_status"].to_numpy() == FrameStatus.OK)


class Plots:
    """Figures of single frames; each is a matplotlib Figure."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def columns(self, frame: int = 0) -> Figure:
        """Draw the columns found over their image."""
        from stemdask.figures import images

        image = self._results.image(frame)
        if image is None:
            raise StoreError("the input can't be read from here", remedy="Run where the input is")
        return images.overlay(image, self._results.at("columns", frame))

    def displacement(self, frame: int = 0) -> Figure:
        """Draw the displacement vectors, over their image where it can be read."""
        from stemdask.figures import images

        return images.quiver(self._results.at("displacement", frame), self._results.image(frame))

    def rdf(self, frame: int = 0) -> Figure:
        """Draw the pair distribution function."""
        from stemdask.figures import atoms

        return atoms.pair_distribution(self._results.at("rdf", frame))

    def order(self, frame: int = 0) -> Figure:
        """Draw every atom in the maps of the bond-order parameters."""
        from stemdask.figures import atoms

        return atoms.order_maps(self._results.at("atoms", frame))

    def structure(self, frame: int = 0) -> Figure:
        """Draw the atoms in two projections."""
        from stemdask.figures import atoms

        return atoms.structure(self._results.at("atoms", frame))

    def coordination(self, frame: int = 0) -> Figure:
        """Draw how many atoms have each coordination number."""
        from stemdask.figures import atoms

        return atoms.coordination(self._results.at("particle", frame))
