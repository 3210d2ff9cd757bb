"""Results in the formats of other programs, written block by block from the store."""

from __future__ import annotations

from pathlib import Path

from stemdask.errors import ConfigError, StoreError
from stemdask.export import csv, extxyz, hspy, parquet, pdb
from stemdask.export.export import Export
from stemdask.export.folder import Folder
from stemdask.results.blocks import Blocks
from stemdask.store.place import check_store

#: The one table of formats: a new one is one file and one line here.
EXPORTS: dict[str, Export] = {
    module.EXPORT.name: module.EXPORT
    for module in (
        csv,
        pdb,
        extxyz,
        hspy,
        parquet,
    )
}


def write(
    store: str | Path, fmt: str, directory: str | Path, *, b_factor: str | None = None, overwrite: bool = False
) -> list[Path]:
    """Write the results of a store for other programs.

    Parameters
    ----------
    store
        Path of the store.
    fmt
        Name of one of `EXPORTS`.
    directory
        Folder to write to; created if missing.
    b_factor
        For "pdb": the property of the atoms in the B-factor column, such as "q6_avg".
    overwrite
        Replace files of the same name that were not made by an export, or were changed since.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ConfigError
        Unknown format or property.
    StoreError
        Not a store, a store without anything that the format can hold, or a file in the way.
    """
    path, target = Path(store), Path(directory)
    if fmt not in EXPORTS:
        raise ConfigError("unknown format", value=fmt, allowed=", ".join(EXPORTS))
    if b_factor is not None and not EXPORTS[fmt].shows_property:
        allowed = ", ".join(name for name, export in EXPORTS.items() if export.shows_property)
        raise ConfigError("this format has no B-factor column", value=fmt, allowed=allowed)
    check_store(path)
    if target.resolve() == path.resolve() or path.resolve() in target.resolve().parents:
        raise StoreError("an export can't be written into the store", where=target, remedy="Name another folder")
    folder = Folder(target, overwrite=overwrite)
    EXPORTS[fmt](Blocks(path), folder, b_factor)
    return folder.written
