"""HyperSpy files: averages and other images as they are, and variables of the cells as maps over the lattice."""

from __future__ import annotations

from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask import delayed  # type: ignore[attr-defined]

from stemdask._version import __version__
from stemdask.analyses.images.cells import displacement
from stemdask.errors import StoreError
from stemdask.export.export import Export
from stemdask.export.folder import Folder
from stemdask.export.hdf5_file import Hdf5File
from stemdask.model import Array
from stemdask.results.blocks import Blocks, Stored

#: What says where a cell lies, and is no map itself.
_GRID = (displacement.I.path, displacement.J.path)
_NUMBERS = (displacement.I.name, displacement.J.name, displacement.COLUMN.name)


def write(results: Blocks, folder: Folder) -> None:
    """Write ``<group>_<name>.hspy`` for every image, and for every variable of the cells of a lattice.

    Raises
    ------
    StoreError
        The store holds neither.
    """
    written = 0
    for variable in results.variables.values():
        if variable.dims[-2:] == ("y", "x") and variable.dtype.kind in "fiu":
            _save(folder, variable, results.lazy(variable.path), _image_axes(results, variable))
            written += 1
    written += _write_maps(results, folder)
    if not written:
        raise StoreError(
            "the store holds no images and no maps of cells", where=results.store, remedy="Use csv or extxyz"
        )


def _write_maps(results: Blocks, folder: Folder) -> int:
    """Write the variables of the cells as stacks (frame, j, i); a cell that a frame lacks is NaN."""
    if not all(results.has(path) for path in _GRID):
        return 0
    bounds = [_bounds(results, frames) for frames in results.blocks()]
    if not any(bounds):
        return 0
    low = np.min([block[0] for block in bounds if block], axis=0)
    high = np.max([block[1] for block in bounds if block], axis=0)
    shape = (int(high[1] - low[1]) + 1, int(high[0] - low[0]) + 1)
    variables = [v for v in results.variables.values() if v.dims == ("frame", "cell") and v.name not in _NUMBERS]
    for variable in variables:
        blocks = [
            da.from_delayed(  # type: ignore[no-untyped-call]
                delayed(_maps, pure=False)(results, variable, frames, low, shape),
                (frames.stop - frames.start, *shape),
                np.float32,
            )
            for frames in results.blocks()
        ]
        axes = [_Axis("frame"), _Axis("j", offset=float(low[1])), _Axis("i", offset=float(low[0]))]
        _save(folder, variable, da.concatenate(blocks), axes)  # type: ignore[no-untyped-call]
    return len(variables)


def _bounds(results: Blocks, frames: slice) -> tuple[Array, Array] | None:
    """Return the least and the largest (i, j) of a block; None if it has no cells."""
    chosen = _real_cells(results, frames)
    if not chosen.any():
        return None
    cells = np.stack([results.read(path, frames)[chosen] for path in _GRID])
    return cells.min(axis=1), cells.max(axis=1)


def _maps(results: Blocks, variable: Stored, frames: slice, low: Array, shape: tuple[int, int]) -> Array:
    values = results.read(variable.path, frames)
    chosen = _real_cells(results, frames)
    i, j = (results.read(path, frames)[chosen] for path in _GRID)
    maps = np.full((len(values), *shape), np.nan, np.float32)
    maps[np.nonzero(chosen)[0], j - low[1], i - low[0]] = values[chosen]
    return maps


def _real_cells(results: Blocks, frames: slice) -> Array:
    """Return (frame, cell): which cells are no padding."""
    lengths = results.lengths("cell", frames)
    return np.arange(results.shape(_GRID[0])[1]) < np.asarray(lengths)[:, None]


class _Axis(NamedTuple):
    """An axis of a signal."""

    name: str
    scale: float = 1.0
    offset: float = 0.0
    units: str = ""


def _image_axes(results: Blocks, variable: Stored) -> list[_Axis]:
    """Return the axes of an image, with the positions of its pixels where the store has them."""
    axes = []
    for dim in variable.dims:
        path = f"{variable.group}/{dim}"
        if dim in ("y", "x") and results.has(path):
            first, second = results.read(path, slice(2)).tolist()
            axes.append(_Axis(dim, second - first, first, results.variables[path].units))
        else:
            axes.append(_Axis(dim, units="pixel" if dim in ("y", "x") else ""))
    return axes


def _save(folder: Folder, variable: Stored, data: Any, dims: list[_Axis]) -> None:
    from rsciio.hspy import file_writer

    axes = [
        {
            "_type": "UniformDataAxis",
            **dim._asdict(),
            "size": size,
            "navigate": at < len(dims) - 2,
            "is_binned": False,
        }
        for at, (dim, size) in enumerate(zip(dims, data.shape, strict=True))
    ]
    signal = {
        "axes": axes,
        "metadata": {
            "General": {"title": f"{variable.path} [{variable.units}]", "notes": variable.long_name},
            "Signal": {"signal_type": "", "quantity": f"{variable.name} ({variable.units})"},
        },
        "original_metadata": {},
        "attributes": {"_lazy": True, "ragged": False},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
        "package_info": {"package": "stemdask", "package_version": __version__},
    }
    with folder.file(f"{variable.path.replace('/', '_')}.hspy") as path, Hdf5File(path) as file:
        try:
            file_writer(file, {**signal, "data": file.unless_refused(data)}, show_progressbar=False)
        finally:
            file.raise_refusal()


EXPORT = Export("hspy", "averages of images, and maps of the cells", write)
