"""CSV: one file per table, headers with units, and a file that describes every column."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd  # type: ignore[import-untyped,unused-ignore]

from stemdask.analyses.atoms.order import structure
from stemdask.export.export import Export
from stemdask.export.folder import Folder
from stemdask.export.tables import find_constants, find_tables, rows
from stemdask.model import Array
from stemdask.results.blocks import Blocks, Stored
from stemdask.sources.atoms.elements import chemical_symbol

#: What a spreadsheet takes for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: What the name of a column is followed by in that of the column with the names of its codes.
_NAME = "_name"
_SYMBOLS = {number: chemical_symbol(number) for number in range(1, 119)}
_STRUCTURES = tuple(variable.path for variable in (structure.STRUCTURE, structure.LATTICE, structure.ORDERING))


def write(results: Blocks, folder: Folder) -> None:
    """Write every table of the results."""
    tables = find_tables(results)
    for table in tables:
        headers = {table.label(column): _header(table.label(column), column) for column in table.columns}
        named = [(table.label(column), _names(column)) for column in table.columns if _names(column)]
        with folder.file(f"{table.name}.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
            first = True
            for block in rows(results, table):
                for label, names in named:
                    block[label + _NAME] = np.array([names.get(int(code), "") for code in block[label]], dtype=object)
                frame = pd.DataFrame({headers.get(name, name): _safe(values) for name, values in block.items()})
                frame.to_csv(file, index=False, header=first, lineterminator="\n")
                first = False
    constants = find_constants(results)
    if constants:
        with folder.file("constants.csv") as path:
            _text_table(
                {
                    "name": [constant.path for constant in constants],
                    "value": [str(results.read(constant.path)[()]) for constant in constants],
                    "units": [constant.units for constant in constants],
                    "meaning": [constant.long_name for constant in constants],
                }
            ).to_csv(path, index=False, lineterminator="\n")
    described = []
    for table in tables:
        for column in table.columns:
            about = (column.path, column.units, column.long_name, column.meaning)
            described.append((f"{table.name}.csv", _header(table.label(column), column), *about))
            if _names(column):
                described.append((f"{table.name}.csv", table.label(column) + _NAME, *about))
    with folder.file("variables.csv") as path:
        heads = ("file", "column", "variable", "units", "meaning", "values")
        columns = dict(zip(heads, map(list, zip(*described, strict=True)), strict=True))
        _text_table(columns).to_csv(path, index=False, lineterminator="\n")


def _names(column: Stored) -> Mapping[int, str]:
    """Return the names of codes that are read by name: elements and structures; none of others."""
    if column.long_name.startswith("atomic number"):
        return _SYMBOLS
    return column.flags if column.path in _STRUCTURES else {}


def _header(label: str, column: Stored) -> str:
    return label if column.units in ("1", "") else f"{label} [{column.units}]"


def _text_table(columns: dict[str, list[str]]) -> pd.DataFrame:
    return pd.DataFrame({name: _safe(np.array(values, dtype=object)) for name, values in columns.items()})


def _safe(values: Array) -> Array:
    """Put an apostrophe before text that a spreadsheet would run as a formula."""
    if values.dtype.kind not in "OUT":
        return values
    texts = [str(value) for value in values]
    return np.array([f"'{text}" if text.startswith(_FORMULA) else text for text in texts], dtype=object)


EXPORT = Export("csv", "every table, in one file each", write)
