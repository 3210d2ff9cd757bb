"""Databases of ASE as SQLite, read without ASE, which would write tables into a file that has none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure, of_numbers
from stemdask.sources.first_look import FirstLook


def index(file: FirstLook) -> FrameIndex:
    """Check the file as a whole, and count the rows and their atoms; a frame's place is the id of its row."""
    found = FrameIndex()
    with closing(_opened(file.path)) as database:
        said = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise InputError(
                "a damaged database",
                where=file.path,
                value=" ".join(str(said).split()),
                remedy="Copy the file again from its origin",
            )
        for row, n_atoms in database.execute("SELECT id, length(numbers) / 4 FROM systems ORDER BY id"):
            found.add(row, row + 1, n_atoms or 0)
    return found


def read(place: FramePlace) -> Structure:
    """Read one row."""
    with closing(_opened(place.path)) as database:
        columns = "SELECT numbers, positions, cell, pbc FROM systems WHERE id = ?"
        numbers, positions, cell, periodic = database.execute(columns, (place.start,)).fetchone()
    return of_numbers(
        np.frombuffer(numbers, "<i4").astype(np.int64),
        np.frombuffer(positions, "<f8").reshape(-1, 3),
        np.frombuffer(cell or bytes(72), "<f8").reshape(3, 3),
        np.array([bool(int(periodic) & bit) for bit in (1, 2, 4)]),
    )


def _opened(path: str) -> sqlite3.Connection:
    """Open a database that nothing shall write to, nor wait for."""
    connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


FORMAT = AtomsFormat(
    name="ase_db",
    suffixes=(".db",),
    noun="an ASE database",
    magic=((0, b"SQLite format 3\0"),),
    incidental=True,
    index=index,
    read=read,
)
