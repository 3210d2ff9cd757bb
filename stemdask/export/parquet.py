"""Parquet: one file per table, one row group per block; units and meaning in the metadata of each field."""

from __future__ import annotations

import numpy as np

from stemdask.errors import StoreError
from stemdask.export.export import Export
from stemdask.export.folder import Folder
from stemdask.export.tables import find_constants, find_tables, rows
from stemdask.results.blocks import Blocks


def write(results: Blocks, folder: Folder) -> None:
    """Write every table of the results.

    Raises
    ------
    StoreError
        pyarrow isn't installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise StoreError(
            "Parquet needs pyarrow, which isn't installed", remedy="Run: pip install 'stemdask[parquet]'"
        ) from None
    once = {constant.path: str(results.read(constant.path)[()]) for constant in find_constants(results)}
    for table in find_tables(results):
        fields = [pa.field(dim, pa.int64()) for dim in table.counters]
        for column in table.columns:
            kind = pa.string() if column.dtype.kind == "O" else pa.from_numpy_dtype(column.dtype)
            about = {"units": column.units, "long_name": column.long_name, "values": column.meaning}
            fields.append(pa.field(table.label(column), kind, metadata={k: v for k, v in about.items() if v}))
        schema = pa.schema(fields, metadata=once)
        with folder.file(f"{table.name}.parquet") as path, pq.ParquetWriter(path, schema) as writer:
            for block in rows(results, table):
                arrays = [
                    pa.array(values.astype(object) if values.dtype.kind in "TU" else values, type=field.type)
                    for values, field in zip((np.asarray(block[field.name]) for field in fields), fields, strict=True)
                ]
                writer.write_table(pa.table(arrays, schema=schema))


EXPORT = Export("parquet", "every table, in one file each", write)
