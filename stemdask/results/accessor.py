"""``tree.stemdask``: tables and figures of an opened store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from stemdask.analyses import registry
from stemdask.errors import StoreError
from stemdask.results import layers, shows, viewers
from stemdask.results.group import GroupAccessor
from stemdask.results.layers import Layer
from stemdask.results.views import Results
from stemdask.sources.images.source import ImageSource
from stemdask.sources.xarray_view import image_array
from stemdask.store import disk

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@xr.register_datatree_accessor("stemdask")  # type: ignore[no-untyped-call]
class Accessor(Results):
    """Views of the results of a run, beside what xarray itself offers."""

    @property
    def plot(self) -> Plots:
        """Figures of the run, such as ``plot.displacement(frame=0)``."""
        return Plots(self)

    def table(self, group: str, *, ragged: bool = True) -> Any:
        """Return a group as a tidy pandas DataFrame: one row per column, cell, atom or bond.

        Parameters
        ----------
        group
            Such as ``columns`` or ``atoms``.
        ragged
            Leave out the padding, using the true number in each frame.

        Examples
        --------
        >>> import stemdask as sd
        >>> tree = sd.open_results("stack.zarr")
        >>> tree.stemdask.table("displacement")[["i", "j", "u", "u_err"]].columns.tolist()
        ['i', 'j', 'u', 'u_err']
        """
        return self._of(group).table(ragged=ragged)

    def select(self, i: int, j: int, group: str | None = None, **equal: int) -> xr.Dataset:
        """Return one cell by its indices, for the frames that have it; see `GroupAccessor.select`.

        Parameters
        ----------
        i, j
            Indices of the cell along a and b.
        group
            Of cells or columns; by default that of the displacements.
        **equal
            Values of other variables that tell several columns apart, such as ``sublattice=1``.

        Examples
        --------
        >>> import stemdask as sd
        >>> tree = sd.open_results("stack.zarr")
        >>> tree.stemdask.select(2, 3, "columns", sublattice=1).sizes["frame"]
        1
        """
        # Analyses are imported where they are needed: those of both halves take half a second of a core.
        from stemdask.analyses.images.cells import displacement

        return self._of(displacement.U.group if group is None else group).select(i, j, **equal)

    def track(self, number: int) -> xr.Dataset:
        """Return everything known about one atom, frame by frame, for the frames in which it was seen.

        Parameters
        ----------
        number
            The atom, as ``atoms/track`` counts them.

        Examples
        --------
        >>> import stemdask as sd
        >>> tree = sd.open_results("pt.zarr")  # of a run with the analysis tracks
        >>> tree.stemdask.track(7).q6_avg.dims
        ('frame',)
        """
        from stemdask.analyses.atoms.time import tracks

        return self._of(tracks.TRACK.group).track(number)

    def to_ase(self, frame: int = 0) -> Any:
        """Return the atoms of a frame as an ``ase.Atoms``, with all properties of each atom as its arrays.

        Examples
        --------
        >>> import stemdask as sd
        >>> atoms = sd.open_results("pt.zarr").stemdask.to_ase(frame=0)
        >>> atoms.arrays["q6_avg"].shape == (len(atoms),)
        True
        """
        from stemdask.analyses.atoms.shape import positions

        return self._of(positions.X.group).to_ase(frame)

    def to_hyperspy(self, frame: int = 0) -> Any:
        """Return the image of a frame as a HyperSpy ``Signal2D``, its columns as markers.

        Examples
        --------
        >>> import stemdask as sd
        >>> sd.open_results("stack.zarr").stemdask.to_hyperspy(frame=0).data.shape
        (128, 128)
        """
        from stemdask.adapters import hyperspy

        columns = self.at("columns", frame) if "columns" in self._tree else None
        return hyperspy.signal(self.needed_image(frame), columns)

    def to_napari(self) -> list[Layer]:
        """Return what the store holds as layers for napari, whose first axis is the frame.

        The images of the input, lazily; the average of the stack; points or arrows of every group of columns, cells or
        atoms, with all properties of each as features. napari itself isn't imported.

        Returns
        -------
        list of tuple
            (data, options, type) each, for ``napari.layers.Layer.create(*layer)``. Only one of each type is shown at
            first.

        Examples
        --------
        >>> import stemdask as sd
        >>> layers = sd.open_results("stack.zarr").stemdask.to_napari()
        >>> [(options["name"], kind) for _, options, kind in layers]
        [('images', 'image'), ('columns', 'points'), ('displacement', 'vectors')]
        """
        from stemdask.analyses.images.stack import registration, rotation

        found = []
        source = self.source() if self.kind == "images" else None
        if isinstance(source, ImageSource):
            found.append(layers.image(image_array(source), "images"))
        if registration.AVERAGE in self and "y" in self.read(registration.AVERAGE).coords:
            average = self.read(registration.AVERAGE)
            found.append(layers.image(average, "average of the aligned frames", visible=not found))
        groups = (variable.group for step in self.steps for variable in self.declared(step.name))
        for name in dict.fromkeys(name for name in groups if name in self._tree.children):
            group = self._of(name)
            if group.is_placed:
                layer = group.to_napari(name)
                if group.item == "cell" and rotation.ANGLE in self:
                    layer[1]["affine"] = self._onto_image()
                layer[1]["visible"] = all(layer[2] != other[2] for other in found)
                found.append(layer)
        return found

    def _onto_image(self) -> Any:
        """Return the affine map (4, 4) of frame, y and x by which turned coordinates lie over the image."""
        from stemdask.analyses.images.stack import rotation

        turn = rotation.Turn.by(*(float(np.nanmedian(self.read(variable))) for variable in rotation.TURN))
        affine = np.eye(4)
        affine[1:3, 1:3] = turn.matrix.T
        affine[1:3, 3] = turn.middle - turn.matrix.T @ turn.middle
        return affine

    def write_edits(self, path: str, points: Any) -> int:
        """Write columns that a person corrected as a file for ``columns: {edits: ...}``.

        Parameters
        ----------
        path
            CSV file to write; a new one.
        points
            (n, 3), frame, y and x, nm: all columns of the corrected frames, such as the data of the layer `columns` of
            `to_napari` after some were added, deleted or dragged. Frames that aren't among them stay as they are.

        Returns
        -------
        int
            Number of corrections in the file, with those that the run itself applied.

        Raises
        ------
        StoreError, StorageError
            There is a file of this name, the points aren't such, or the images can't be read on this machine; the file
            system refused the file.

        Examples
        --------
        >>> import stemdask as sd
        >>> tree = sd.open_results("stack.zarr")
        >>> [points] = [data for data, options, _ in tree.stemdask.to_napari() if options["name"] == "columns"]
        >>> tree.stemdask.write_edits("edits.csv", points[1:])
        1
        """
        from stemdask.analyses.images.columns import edits
        from stemdask.results import edited

        if Path(path).exists():
            raise StoreError("a file of this name exists", where=path, remedy="Name another one, or move it away")
        rows = edited.corrections(self, np.asarray(points, float))
        with disk.refusals_in_words(Path(path)):
            disk.write_file(Path(path), edits.text(rows))
        return len(rows)

    def _of(self, group: str) -> GroupAccessor:
        return GroupAccessor(self._group(group))

    def view(self) -> Any:
        """Return the viewer of the store, which a notebook displays; it needs ``stemdask[view]``."""
        return viewers.in_notebook(self._tree)


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
