"""CSV: one file per table, headers with units, and a file that describes every column."""

from __future__ import annotations

import numpy as np
import pandas as pd  # type: ignore[import-untyped,unused-ignore]

from stemdask.export.export import Export
from stemdask.export.folder import Folder
from stemdask.export.tables import find_constants, find_tables, rows
from stemdask.model import Array
from stemdask.results.blocks import Blocks, Stored

#: What a spreadsheet takes for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(results: Blocks, folder: Folder) -> None:
    """Write every table of the results."""
    tables = find_tables(results)
    for table in tables:
        headers = {table.label(column): _header(table.label(column), column) for column in table.columns}
        with folder.file(f"{table.name}.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
            first = True
            for block in rows(results, table):
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
    described = [(table, column) for table in tables for column in table.columns]
    with folder.file("variables.csv") as path:
        _text_table(
            {
                "file": [f"{table.name}.csv" for table, _ in described],
                "column": [_header(table.label(column), column) for table, column in described],
                "variable": [column.path for _, column in described],
                "units": [column.units for _, column in described],
                "meaning": [column.long_name for _, column in described],
                "values": [column.meaning for _, column in described],
            }
        ).to_csv(path, index=False, lineterminator="\n")


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
