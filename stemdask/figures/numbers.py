"""Numbers of a run as rows of a table: with their units, and as many digits as their errors leave."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import xarray as xr

from stemdask.figures.pixels import in_pixels
from stemdask.model import Variable
from stemdask.results.views import Results
from stemdask.units import amount

Row = tuple[str, str]

#: An error smaller than this part of a number is rounding.
_ROUNDING = 1e-12


def rows_of(results: Results, name: str, frame: int) -> list[Row]:
    """Return the numbers that an analysis gives of a frame, in the order in which it declares them."""
    declared = results.declared(name)
    errors = {variable.error for variable in declared}
    return [
        row(results, variable, frame)
        for variable in declared
        if variable.dims == ("frame",) and variable.flags is None and variable.path not in errors
    ]


def row(results: Results, variable: Variable, frame: int) -> Row:
    """Return a number of a frame with its error, and how far errors of the coordinates move it."""
    error, shift = _errors(results, variable, frame)
    return variable.long_name, measured(results.read(variable, frame), error, shift)


def mean_row(results: Results, variable: Variable, frame: int, text: str) -> Row:
    """Return the mean of a property over the atoms of a frame."""
    error, shift = _errors(results, variable, frame)
    return text, measured(results.read(variable, frame).mean(keep_attrs=True), error, shift)


def errors_of(results: Results, variable: Variable) -> tuple[Variable | None, Variable | None]:
    """Return the variables that a run has of the standard error of a number, and of its change by errors of atoms."""
    error = None if variable.error is None else replace(variable, path=variable.error)
    shift = None
    if results.kind == "atoms":
        from stemdask.analyses.atoms.derived import (
            uncertainty,
        )  # all analyses of structures, for which images don't wait

        found, shift, _ = uncertainty.variables_of(variable.path, variable.units)
        error = error or found
    return (
        error if error is not None and error in results else None,
        shift if shift is not None and shift in results else None,
    )


def _errors(results: Results, variable: Variable, frame: int) -> list[xr.DataArray | None]:
    return [None if found is None else results.read(found, frame) for found in errors_of(results, variable)]


def median_row(text: str, array: xr.DataArray, digits: int = 4) -> Row:
    """Return the median of the finite values of an array, with its unit."""
    array = in_pixels(array)
    finite = np.asarray(array.values)[np.isfinite(array.values)]
    return text, amount(f"{np.median(finite):.{digits}g}", array.attrs["units"]) if finite.size else "none"


def number(array: xr.DataArray, digits: int = 4) -> str:
    """Return a scalar with its unit; of an integer all digits."""
    array = in_pixels(array)
    text = f"{int(array)}" if array.dtype.kind in "iu" else f"{float(array.values):.{digits}g}"
    return amount(text, array.attrs.get("units", "1"))


def measured(array: xr.DataArray, error: xr.DataArray | None, shift: xr.DataArray | None = None) -> str:
    """Return a scalar with its unit and, where there is one, its standard error to two digits.

    A systematic change by the same cause follows in brackets where it is more than the error.
    """
    if error is None or not np.isfinite(array) or not _known(float(array), float(error)):
        return number(array)
    array, error = in_pixels(array), in_pixels(error)
    text = with_error(float(array), float(error))
    if shift is not None and abs(float(shift)) > float(error):
        text += f" ({float(shift):+.{decimals(float(error))}f})"
    return amount(text, array.attrs.get("units", "1"))


def with_error(value: float, error: float) -> str:
    """Return a number and its standard error to two digits; four digits and no error where none is known."""
    if not _known(value, error):
        return f"{value:.4g}"
    digits = decimals(error)
    return f"{value:z.{digits}f} ± {error:.{digits}f}"


def decimals(error: float, value: float = 1.0) -> int:
    """Return the decimals that show two digits of an error; three of the value where nobody knows the error."""
    if math.isfinite(error) and error > 0:
        return max(1 - math.floor(math.log10(error)), 0)
    return max(2 - math.floor(math.log10(abs(value))), 0) if math.isfinite(value) and value else 2


def _known(value: float, error: float) -> bool:
    """Tell whether an error is one: neither unknown nor what rounding leaves of an ideal structure."""
    return math.isfinite(error) and error > _ROUNDING * abs(value)
