"""PDB: fixed columns, a model for each frame, and one property in the column of the B-factor.

Columns and their meaning: PDB format 3.3, ATOM/HETATM records; serial numbers beyond 99,999 in hybrid-36.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np

from stemdask.errors import ConfigError, StoreError
from stemdask.export.atoms import Atoms, properties_of, read_atoms, symbols_of
from stemdask.export.export import Export
from stemdask.export.folder import Folder
from stemdask.model import Array
from stemdask.results.blocks import Blocks, Stored

#: MODEL has four columns for its number.
MODELS = 9999
_DEFAULTS = ("crystallinity", "q6_avg", "coordination")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def write(results: Blocks, folder: Folder, b_factor: str | None = None) -> None:
    """Write the frames that have results; the number of a model is that of its frame, counted from 1.

    Parameters
    ----------
    results
        The store.
    folder
        Where to write: ``frames.pdb``, or one file for every 9,999 frames.
    b_factor
        Property in the B-factor column; C6 or the coordination number when None. An atom without a value gets 0 and
        the occupancy 0.

    Raises
    ------
    ConfigError
        The store has no such property.
    StoreError
        A coordinate or value doesn't fit its columns.
    """
    properties = properties_of(results)
    name = b_factor or next((default for default in _DEFAULTS if default in properties), None)
    if name is not None:
        name = name.removeprefix("atoms/")
        if name not in properties:
            raise ConfigError("the atoms have no such property", value=b_factor, allowed=", ".join(properties))
    several = results.n_frames > MODELS
    for number, frames in groupby(read_atoms(results, [name] if name else []), lambda atoms: atoms.frame // MODELS):
        with (
            folder.file(f"frames_{number + 1:04d}.pdb" if several else "frames.pdb") as path,
            path.open("w", encoding="ascii") as file,
        ):
            file.writelines(_remarks(name, properties.get(name) if name else None))
            for atoms in frames:
                file.write(f"MODEL     {atoms.frame % MODELS + 1:4d}\n")
                file.writelines(atom_lines(atoms, name))
                file.write("ENDMDL\n")  # and no END, of which some readers make another frame


def atom_lines(atoms: Atoms, name: str | None) -> Iterator[str]:
    """Yield the lines of the atoms of one frame, 80 columns each."""
    values = atoms.properties[name].astype(float) if name else np.zeros(len(atoms.elements))
    known = np.isfinite(values) if name else np.zeros(len(values), bool)
    form = _form(values[known], atoms, name)
    if atoms.positions.size and (atoms.positions.min() <= -999.9995 or atoms.positions.max() >= 9999.9995):
        raise StoreError(
            f"the coordinates of frame {atoms.frame} don't fit a PDB",
            value=f"{atoms.positions.min():g} to {atoms.positions.max():g} angstrom",
            allowed="-999.999 to 9999.999",
            remedy="Use extxyz",
        )
    rows = zip(
        symbols_of(atoms.elements).tolist(), atoms.positions.tolist(), values.tolist(), known.tolist(), strict=True
    )
    for serial, (symbol, (x, y, z), value, is_known) in enumerate(rows, 1):
        symbol = symbol.upper()
        b = format(value if is_known else 0.0, form)
        yield (
            f"HETATM{hybrid36(serial):>5} {symbol:>2}   {symbol:>3} A   1    {x:8.3f}{y:8.3f}{z:8.3f}"
            f"{1.0 if is_known or name is None else 0.0:6.2f}{b}          {symbol:>2}  \n"
        )


def hybrid36(number: int) -> str:
    """Write a serial number in five columns: decimal, then base 36 starting with a letter (A0000 is 100,000)."""
    if number < 100_000:
        return str(number)
    rest = number - 100_000
    lower = rest >= 26 * 36**4
    rest = (rest - 26 * 36**4 if lower else rest) + 10 * 36**4
    if rest >= 36**5:
        return "*****"
    digits = ""
    for _ in range(5):
        rest, digit = divmod(rest, 36)
        digits = _DIGITS[digit] + digits
    return digits.lower() if lower else digits


def _form(values: Array, atoms: Atoms, name: str | None) -> str:
    """Return the format of six columns with the most decimals that leave a blank before, or the sign."""
    largest = float(np.abs(values).max(initial=0.0))
    for limit, form in ((9.9995, "6.3f"), (99.995, "6.2f"), (999.95, "6.1f"), (99999.5, "6.0f")):
        if largest < limit:
            return form
    raise StoreError(
        f"{name} of frame {atoms.frame} doesn't fit six columns",
        value=largest,
        allowed="up to 99999",
        remedy="Use extxyz",
    )


def _remarks(name: str | None, variable: Stored | None) -> Iterator[str]:
    yield "REMARK   2 WRITTEN BY STEMDASK; MODEL N IS FRAME N - 1\n"
    if variable is not None:
        about = f"{name}: {variable.long_name} [{variable.units}]".encode("ascii", "replace").decode()
        yield "REMARK   3 B-FACTOR AND OCCUPANCY HOLD\n"
        for start in range(0, len(about), 68):
            yield f"REMARK   3 {about[start : start + 68]}\n"


EXPORT = Export("pdb", "atoms with one of their properties as the B-factor", write, shows_property=True)
