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
        dataset = self._group(group)
        return (dataset.isel(frame=frame) if "frame" in dataset.dims else dataset).load()

    def whole(self, group: str) -> xr.Dataset:
        """Return a group of all frames, loaded; raise StoreError where the run has no such results."""
        return self._group(group).load()

    def config(self) -> dict[str, Any]:
        """Return the resolved config of the run."""
        return dict(yaml.safe_load(self._tree.attrs["config"]))

    def image(self, frame: int) -> ImageFrame | None:
        """Read the image of a frame from the input; None where it can't be read from here."""
        section = self.config()["input"]
        section.pop("calibrate_from", None)
        try:
            found = opening.open_source(section.pop("path"), **section).read(frame)
        except (StemdaskError, OSError):
            return None
        return found if isinstance(found, ImageFrame) else None

    def needed_image(self, frame: int) -> ImageFrame:
        """Read the image of a frame from the input; raise StoreError where it can't be read from here."""
        image = self.image(frame)
        if image is None:
            raise StoreError("the image can't be read from here", remedy="Run where the input is")
        return image

    def to_hyperspy(self, frame: int = 0) -> Any:
        """Return the image of a frame as a HyperSpy ``Signal2D``, its columns as markers."""
        from stemdask.adapters import hyperspy

        columns = self.at("columns", frame) if "columns" in self._tree else None
        units = str(columns["y"].attrs["units"]) if columns is not None else "nm"
        return hyperspy.signal(self.needed_image(frame), columns, units)

    def good(self) -> NDArray[np.intp]:
        """Return the indices of the frames that have results."""
        return np.flatnonzero(self._tree["frames/frame_status"].to_numpy() == FrameStatus.OK)

    def _group(self, group: str) -> xr.Dataset:
        if group not in self._tree:
            raise StoreError(f"the run has no results in '{group}'", allowed=", ".join(sorted(self._tree.children)))
        return self._tree[group].to_dataset()


class Plots:
    """Figures of single frames; each is a matplotlib Figure."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def columns(self, frame: int = 0) -> Figure:
        """Draw the columns found over their image."""
        from stemdask.figures import images

        return images.overlay(self._results.needed_image(frame), self._results.at("columns", frame))

    def displacement(self, frame: int = 0) -> Figure:
        """Draw the displacement vectors, over their image where it can be read."""
        from stemdask.figures import images

        return images.quiver(self._results.at("displacement", frame), self._results.image(frame))

    def rdf(self, frame: int = 0, ideal: xr.DataTree | None = None) -> Figure:
        """Draw the pair distribution function, above that of an ideal particle where its store is given."""
        from stemdask.figures import atoms

        return atoms.pair_distribution(self._results.at("rdf", frame), _first(ideal, "rdf"))

    def finite_rdf(self, frame: int = 0) -> Figure:
        """Draw the pair distribution function corrected for the surface, beside the one as counted."""
        from stemdask.figures import particle

        return particle.finite_pair_distribution(self._having("rdf", "g_finite", frame))

    def order(self, frame: int = 0) -> Figure:
        """Draw every atom in the maps of the bond-order parameters."""
        from stemdask.figures import atoms

        normalised = self._results.config()["analyses"]["bond_order"]["normalisation"] != "none"
        return atoms.order_maps(self._having("atoms", "q6_avg", frame), normalised=normalised)

    def structure(self, frame: int = 0, by: str = "q6_avg") -> Figure:
        """Draw the atoms in two projections, coloured by a property of theirs."""
        from stemdask.figures import atoms

        return atoms.structure(self._having("atoms", by, frame), by)

    def structure_types(self, frame: int = 0) -> Figure:
        """Draw the atoms in two projections, coloured by structure type, and how many there are of each."""
        from stemdask.figures import particle

        return particle.structure_types(self._having("atoms", "structure", frame))

    def coordination(self, frame: int = 0, ideal: xr.DataTree | None = None) -> Figure:
        """Draw how many atoms have each coordination number, beside an ideal particle where its store is given."""
        from stemdask.figures import atoms

        return atoms.coordination(self._results.at("particle", frame), _first(ideal, "particle"))

    def strain(self, frame: int = 0) -> Figure:
        """Draw the change of volume of every atom: where it is, and against its depth."""
        from stemdask.figures import particle

        return particle.strain(self._having("atoms", "strain_volume", frame))

    def profiles(self, frame: int = 0) -> Figure:
        """Draw the radial profiles with their errors."""
        from stemdask.figures import particle

        profile = self._results.at("profile", frame)
        return particle.profiles(profile, self._results.config()["analyses"]["radial_profile"]["properties"])

    def motion(self) -> Figure:
        """Draw how far the atoms move over the frames, and which come and go."""
        from stemdask.figures import motion

        return motion.tracks(self._results.whole("tracks"))

    def shaking(self) -> Figure:
        """Draw the Lindemann index of every atom against its distance to the centre."""
        from stemdask.figures import motion

        return motion.shaking(self._results.whole("tracks"))

    def _having(self, group: str, name: str, frame: int) -> xr.Dataset:
        found = self._results.at(group, frame)
        if name not in found:
            raise StoreError(f"the run has no '{name}' in '{group}'", allowed=", ".join(map(str, found.data_vars)))
        return found


def _first(ideal: xr.DataTree | None, group: str) -> xr.Dataset | None:
    if ideal is None:
        return None
    results = Results(ideal)
    return results.at(group, int(results.good()[0]))
