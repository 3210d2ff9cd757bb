"""``dataset.stemdask``: a group of a store as a table, as items followed over the frames, and for other programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from stemdask.errors import StoreError
from stemdask.kernels.arrays import Booleans
from stemdask.model import RAGGED
from stemdask.results import layers
from stemdask.results.layers import Layer


@xr.register_dataset_accessor("stemdask")  # type: ignore[no-untyped-call]
class GroupAccessor:
    """Views of one group of a store, such as ``tree["columns"].to_dataset()``, or a part of it.

    Examples
    --------
    >>> import stemdask as sd
    >>> cells = sd.open_results("stack.zarr")["displacement"].to_dataset()
    >>> cells.stemdask.select(i=2, j=3).u.dims
    ('frame',)
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    @property
    def item(self) -> str | None:
        """Dimension of its columns, cells, atoms or bonds; None where the group has none of these."""
        return next((dim for dim in RAGGED if dim in self._dataset.dims), None)

    def table(self, *, ragged: bool = True) -> Any:
        """Return the group as a tidy pandas DataFrame: one row per column, cell, atom or bond; else one per frame.

        Parameters
        ----------
        ragged
            Leave out the padding, so that each frame has as many rows as items. False: as many rows for each frame.
        """
        dims: list[Any] = [dim for dim in ("frame", self.item) if dim in self._dataset.dims]
        if self.item is None:
            dims = next(list(variable.dims[:2]) for variable in self._dataset.data_vars.values() if variable.dims)
        others = [name for name, variable in self._dataset.variables.items() if not set(variable.dims) <= set(dims)]
        chosen = self._dataset.drop_vars([*others, f"n_{self.item}s"], errors="ignore")
        frame = chosen.to_dataframe(dim_order=list(dims)).reset_index()
        placed = [name for name in chosen.coords if name not in dims]
        frame = frame[[*dims, *placed, *(name for name in frame.columns if name not in (*dims, *placed))]]
        if ragged and self.item in dims:
            frame = frame[self._real().transpose(*dims).to_numpy().reshape(-1)]
        return frame.reset_index(drop=True)

    def select(self, i: int, j: int, **equal: int) -> xr.Dataset:
        """Return one column or cell by the indices of its cell, for the frames that have it.

        Parameters
        ----------
        i, j
            Indices of the cell along a and b.
        **equal
            Values of other variables that tell several such columns apart, such as ``sublattice=1``.

        Raises
        ------
        StoreError
            The group has no such indices, no such item, or several of them in one frame.
        """
        wanted = {"i": i, "j": j} | equal
        if missing := [name for name in wanted if name not in self._dataset]:
            raise StoreError(
                f"the group has no {', '.join(missing)}",
                allowed="a group of columns or cells with indices, such as 'columns' or 'displacement'",
            )
        chosen = self._real()
        for name, value in wanted.items():
            chosen = chosen & (self._dataset[name] == value)
        said = ", ".join(f"{name} = {value}" for name, value in wanted.items())
        none = f"no {self.item} has these indices"
        return self._followed(chosen, none, f"several {self.item}s of one frame have these indices", said)

    def track(self, number: int) -> xr.Dataset:
        """Return everything known about one atom, frame by frame, for the frames in which it was seen.

        Parameters
        ----------
        number
            The atom, as ``atoms/track`` counts them.

        Raises
        ------
        StoreError
            The run did not track atoms, or none has this number.
        """
        from stemdask.analyses.atoms.time import tracks

        if tracks.TRACK.name not in self._dataset:
            raise StoreError(
                "the run did not track atoms", remedy="Add the analysis 'tracks' to the config and run it again"
            )
        chosen = self._real() & (self._dataset[tracks.TRACK.name] == number)
        several = "several atoms of one frame have this track number"
        return self._followed(chosen, "no atom has this track number", several, number)

    def to_ase(self, frame: int = 0) -> Any:
        """Return the atoms of a frame as an ``ase.Atoms``, with all properties of each atom as its arrays.

        Raises
        ------
        StoreError
            The group holds no atoms with positions.
        """
        from stemdask.analyses.atoms.shape import positions
        from stemdask.results import ase_atoms

        needed = [variable.name for variable in (positions.X, positions.Y, positions.Z, positions.ELEMENT)]
        if "atom" not in self._dataset.dims or not set(needed) <= set(self._dataset.variables):
            raise StoreError("the group holds no atoms with positions", remedy="Use the group 'atoms'")
        one = self._dataset.isel(frame=frame) if "frame" in self._dataset.dims else self._dataset
        return ase_atoms.structure(one.isel(atom=one.stemdask._real().to_numpy()))

    def to_napari(self, name: str = "items") -> Layer:
        """Return columns, cells or atoms as a layer for napari: arrows of displacements, otherwise points.

        Parameters
        ----------
        name
            Of the layer.

        Returns
        -------
        tuple
            (data, options, type), for ``napari.layers.Layer.create(*layer)``. The first axis is the frame; all
            properties of each item are its features.

        Raises
        ------
        StoreError
            The group doesn't say where its items lie.
        """
        if not self.is_placed:
            raise StoreError(
                "the group holds no positions",
                allowed="a group such as 'columns', 'displacement' or 'atoms'",
            )
        axes = tuple(axis for axis in "zyx" if axis in self._dataset.variables)
        units = str(self._dataset["y"].attrs["units"])
        return layers.items(self.table(), axes, units, name)

    @property
    def is_placed(self) -> bool:
        """Whether it holds columns, cells or atoms with their positions."""
        there = self._dataset.variables
        return self.item is not None and all(axis in there and self.item in there[axis].dims for axis in "yx")

    def _real(self) -> xr.DataArray:
        """Tell which items are no padding."""
        item = self.item
        if f"n_{item}s" not in self._dataset.coords:
            raise StoreError(
                "the dataset doesn't say how many items each frame has",
                remedy="Take the group from stemdask.open_results(...), with its coordinates",
            )
        return xr.DataArray(np.arange(self._dataset.sizes[item]), dims=item) < self._dataset[f"n_{item}s"]

    def _followed(self, chosen: xr.DataArray, none: str, several: str, value: object) -> xr.Dataset:
        """Return the chosen item of each frame, for the frames that have one; raise StoreError with the words given."""
        item = str(self.item)
        frame, place = np.nonzero(_frames_first(chosen, item))
        if not frame.size:
            raise StoreError(none, value=value)
        if len(set(frame)) < len(frame):
            raise StoreError(
                several, value=value, remedy="Name another of their variables, such as sublattice=1 or grain=0"
            )
        names = [name for name, variable in self._dataset.data_vars.items() if item in variable.dims]
        at = {"frame": xr.DataArray(frame, dims="frame"), item: xr.DataArray(place, dims="frame")}
        found = self._dataset[names].isel(at).drop_vars(f"n_{item}s")
        return found if "frame" in found.coords else found.assign_coords(frame=("frame", frame))


def _frames_first(chosen: xr.DataArray, item: str) -> Booleans:
    return np.asarray(chosen.transpose("frame", item).to_numpy(), bool)
