"""Scan distortion: rows that were shifted as a whole, and the bend after each flyback, read from the columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from stemdask.analyses.images.columns import columns, lattice
from stemdask.kernels.images.stacks.scan_distortion import LineShifts, lattice_residuals, line_shifts
from stemdask.model import Analysis, Array, ImageFrame, Params, Variable

_A = 0
_PM = 1e3
#: Order of the polynomial that stands for the lattice against which rows, and pixels of a row, are compared.
_ROW_ORDER, _FLYBACK_ORDER = 3, 2


class ScanDistortionParams(Params):
    """What is done about the error of the scan."""

    remove: bool = False
    """Remove it from the positions used for displacement and strain; the columns stay as measured."""
    flyback: Annotated[float, Field(ge=0.02, le=0.3)] = 0.1
    """Fraction of each row, from its start, in which the beam may not have settled; the lattice is determined from the
    rest."""


class _Shift(NamedTuple):
    """The variables of the shift of lines along one axis."""

    shift: Variable
    error: Variable
    rms: Variable


def _shift(line: str, dim: str, what: str, axis: str) -> _Shift:
    name = f"scan_distortion/{line}_{axis}"
    return _Shift(
        Variable(name, ("frame", dim), "float32", "pm", f"shift of {what} along {axis}", error=f"{name}_err"),
        Variable(f"{name}_err", ("frame", dim), "float32", "pm", f"standard error of the shift of {what} along {axis}"),
        Variable(f"{name}_rms", ("frame",), "float64", "pm", f"RMS shift along {axis} as columns feel it; 0: none"),
    )


#: Along (y, x).
ROW = tuple(_shift("row", "y", "each row", axis) for axis in "yx")
FLYBACK = tuple(_shift("flyback", "x", "each place along a row", axis) for axis in "yx")
Y = Variable(
    "scan_distortion/corrected_y", ("frame", "column"), "float64", "nm", "position without the error", stored=False
)
X = Variable(
    "scan_distortion/corrected_x", ("frame", "column"), "float64", "nm", "position without the error", stored=False
)


def outputs(params: ScanDistortionParams) -> tuple[Variable, ...]:
    """Declare the shift of each row and of each pixel of a row, and the positions that are handed on."""
    stored = [variable for shift in (*ROW, *FLYBACK) for variable in shift]
    return (*stored, *((Y, X) if params.remove else ()))


def positions_of(frame: ImageFrame) -> Array:
    """Return the positions (n, 2) of the columns of a frame, nm, free of the error of the scan where it is removed."""
    y, x = (Y, X) if Y in frame else (columns.Y, columns.X)
    return np.column_stack([frame[y], frame[x]]).astype(np.float64)


def run(frame: ImageFrame, params: ScanDistortionParams) -> Mapping[str, Array]:
    """Estimate the error of the scan from the A columns of a frame.

    Where it is removed, corrected positions of all columns are handed on.
    """
    scale = np.asarray(frame.pixel_size)
    positions = np.column_stack([frame[columns.Y], frame[columns.X]]).astype(np.float64)
    errors = np.column_stack([frame[columns.Y_ERR], frame[columns.X_ERR]]).astype(np.float64)
    pixels = (positions - frame.offset) / scale
    sigma = frame[columns.SIGMA_MINOR][np.isfinite(frame[columns.SIGMA_MINOR])]
    width = float(np.median(sigma)) / float(np.prod(scale)) ** 0.5 if len(sigma) else 1.0
    ny, nx = frame.pixels.shape
    rows = _shifts(frame, pixels, errors / scale, 0, ny, width, _ROW_ORDER, np.ones(len(pixels), dtype=bool))
    pixels = pixels - _felt(rows, pixels[:, 0])
    settled = pixels[:, 1] > params.flyback * nx
    along = _shifts(frame, pixels, errors / scale, 1, nx, 2 * width, _FLYBACK_ORDER, settled)
    pixels = pixels - _felt(along, pixels[:, 1])
    found: dict[str, Array] = {}
    for variables, shifts in ((ROW, rows), (FLYBACK, along)):
        for k, variable in enumerate(variables):
            found[variable.shift.path] = shifts[k].shift * scale[k] * _PM
            found[variable.error.path] = shifts[k].error * scale[k] * _PM
            found[variable.rms.path] = np.asarray(shifts[k].strength * scale[k] * _PM)
    if params.remove:
        corrected = pixels * scale + frame.offset
        found |= {Y.path: corrected[:, 0], X.path: corrected[:, 1]}
    return found


def _shifts(
    frame: ImageFrame, pixels: Array, errors: Array, axis: int, n_lines: int, width: float, order: int, trusted: Array
) -> tuple[LineShifts, LineShifts]:
    """Return the shifts along y and x of the lines across `axis`, px."""
    residual = np.full(pixels.shape, np.nan)
    a_columns = frame[lattice.SUBLATTICE] == _A
    for grain in np.unique(frame[lattice.GRAIN][a_columns]):
        of = a_columns & (frame[lattice.GRAIN] == grain)
        indices = frame[lattice.I][of], frame[lattice.J][of]
        residual[of] = lattice_residuals(pixels[of], *indices, order=order, trusted=trusted[of])
    where = (pixels - residual)[:, axis]
    y, x = (line_shifts(where, residual[:, k], errors[:, k], n_lines, width) for k in (0, 1))
    return y, x


def _felt(shifts: tuple[LineShifts, LineShifts], where: Array) -> Array:
    """Return the shift (n, 2) of columns on given lines."""
    lines = np.arange(len(shifts[0].shift), dtype=np.float64)
    return np.column_stack([np.interp(where, lines, one.shift) for one in shifts])


ANALYSIS = Analysis(
    name="scan_distortion",
    kind="images",
    summary="Error of the scan, row by row, read from the columns",
    params=ScanDistortionParams,
    outputs=outputs,
    shows="stemdask.figures.images.scan_distortion",
    needs=("columns", "lattice"),
    run=run,
)
