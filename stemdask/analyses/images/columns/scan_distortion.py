"""Scan distortion: rows that were shifted as a whole, and the bend after each flyback, read from the columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from stemdask.kernels.images.stacks.scan_distortion import LineShifts, lattice_residuals, line_shifts
from stemdask.model import Analysis, Array, ImageFrame, Params, Variable

_A = 0
_PM = 1e3
#: Order of the polynomial that stands for the lattice against which rows, and pixels of a row, are compared.
_ROW_ORDER, _FLYBACK_ORDER = 3, 2


class ScanDistortionParams(Params):
    """What is done about the error of the scan."""

    remove: bool = False
    """Take it out of the positions from which displacement and strain are measured; the columns stay as measured."""
    flyback: Annotated[float, Field(ge=0.02, le=0.3)] = 0.1
    """Part of each row, from its start, in which the beam may not have settled; the lattice is taken from the rest."""


def outputs(params: ScanDistortionParams) -> tuple[Variable, ...]:
    """Declare the shift of each row and of each pixel of a row."""
    variables = []
    for line, dim, what in (("row", "y", "each row"), ("flyback", "x", "each place along a row")):
        for axis in "yx":
            error = f"scan_distortion/{line}_{axis}_err"
            name = f"scan_distortion/{line}_{axis}"
            variables.append(
                Variable(name, ("frame", dim), "float32", "pm", f"shift of {what} along {axis}", error=error)
            )
            variables.append(
                Variable(error, ("frame", dim), "float32", "pm", f"standard error of the shift of {what} along {axis}")
            )
            variables.append(
                Variable(
                    f"{name}_rms", ("frame",), "float64", "pm", f"RMS shift along {axis} as columns feel it; 0: none"
                )
            )
    return tuple(variables)


def run(frame: ImageFrame, params: ScanDistortionParams) -> Mapping[str, Array]:
    """Estimate the error of the scan from the A columns of a frame.

    Where it is removed, corrected positions of all columns are passed on as ``_columns_y`` and ``_columns_x``, nm.
    """
    results = frame.results
    scale = np.asarray(frame.pixel_size)
    positions = np.column_stack([results["columns/y"], results["columns/x"]]).astype(np.float64)
    errors = np.column_stack([results["columns/y_err"], results["columns/x_err"]]).astype(np.float64)
    pixels = (positions - frame.offset) / scale
    sigma = results["columns/sigma_minor"][np.isfinite(results["columns/sigma_minor"])]
    width = float(np.median(sigma)) / float(np.prod(scale)) ** 0.5 if len(sigma) else 1.0
    ny, nx = frame.pixels.shape
    rows = _shifts(frame, pixels, errors / scale, 0, ny, width, _ROW_ORDER, np.ones(len(pixels), dtype=bool))
    pixels = pixels - _felt(rows, pixels[:, 0])
    settled = pixels[:, 1] > params.flyback * nx
    along = _shifts(frame, pixels, errors / scale, 1, nx, 2 * width, _FLYBACK_ORDER, settled)
    pixels = pixels - _felt(along, pixels[:, 1])
    found: dict[str, Array] = {}
    for line, shifts in (("row", rows), ("flyback", along)):
        for k, axis in enumerate("yx"):
            name = f"scan_distortion/{line}_{axis}"
            found[name] = shifts[k].shift * scale[k] * _PM
            found[f"{name}_err"] = shifts[k].error * scale[k] * _PM
            found[f"{name}_rms"] = np.asarray(shifts[k].strength * scale[k] * _PM)
    if params.remove:
        corrected = pixels * scale + frame.offset
        found |= {"_columns_y": corrected[:, 0], "_columns_x": corrected[:, 1]}
    return found


def _shifts(
    frame: ImageFrame, pixels: Array, errors: Array, axis: int, n_lines: int, width: float, order: int, trusted: Array
) -> tuple[LineShifts, LineShifts]:
    """Return the shifts along y and x of the lines across `axis`, px."""
    results = frame.results
    residual = np.full(pixels.shape, np.nan)
    a_columns = results["columns/sublattice"] == _A
    for grain in np.unique(results["columns/grain"][a_columns]):
        of = a_columns & (results["columns/grain"] == grain)
        indices = results["columns/i"][of], results["columns/j"][of]
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
    needs=("columns", "lattice"),
    run=run,
)
