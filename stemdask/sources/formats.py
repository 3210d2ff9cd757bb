"""The one table of formats of each half: a new one is one file and one line here."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from stemdask.errors import InputError
from stemdask.model import Kind
from stemdask.sources.atoms import (
    ase_db,
    ase_json,
    cfg,
    cif,
    dcd,
    gro,
    gsd,
    lammps,
    ncdf,
    npy_positions,
    pdb,
    poscar,
    table,
    traj,
    trr,
    xdatcar,
    xtc,
    xyz,
)
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.compressed import is_compressed, plain_name, suffix_of
from stemdask.sources.first_look import look_at
from stemdask.sources.format import Format
from stemdask.sources.images import bmp, dm, emd, hspy, jpeg, mrc, npy, png, ser, tiff, zarr
from stemdask.sources.images.format import ImageFormat

IMAGES: dict[str, ImageFormat] = {
    fmt.name: fmt
    for fmt in (
        dm.FORMAT,
        hspy.FORMAT,
        emd.FORMAT,
        tiff.FORMAT,
        mrc.FORMAT,
        ser.FORMAT,
        png.FORMAT,
        jpeg.FORMAT,
        bmp.FORMAT,
        npy.FORMAT,
        zarr.FORMAT,
    )
}
ATOMS: dict[str, AtomsFormat] = {
    fmt.name: fmt
    for fmt in (
        pdb.FORMAT,
        xyz.FORMAT,
        lammps.FORMAT,
        cif.FORMAT,
        xdatcar.FORMAT,
        poscar.FORMAT,
        gro.FORMAT,
        cfg.FORMAT,
        table.FORMAT,
        npy_positions.FORMAT,
        ase_json.FORMAT,
        ase_db.FORMAT,
        traj.FORMAT,
        gsd.FORMAT,
        xtc.FORMAT,
        trr.FORMAT,
        ncdf.FORMAT,
        dcd.FORMAT,
    )
}


#: Bytes at the beginning of a file by which its format is recognised.
HEAD = 4096


def all_formats(kind: Kind | None = None) -> Iterator[tuple[Kind, Format]]:
    """Yield the formats with their kinds, in the order of the tables."""
    halves: dict[Kind, Mapping[str, Format]] = {"images": IMAGES, "atoms": ATOMS}
    return ((half, fmt) for half, table in halves.items() if kind in (None, half) for fmt in table.values())


def suffixes(kind: Kind | None = None) -> list[str]:
    """Return every suffix and name of files that is known, as messages list them."""
    return list(dict.fromkeys(name for _, fmt in all_formats(kind) for name in (*fmt.names, *fmt.suffixes)))


def claiming(path: str | Path, kind: Kind | None = None) -> list[tuple[Kind, Format]]:
    """Return the formats that a file is of by its name; several where its content has to tell."""
    name = plain_name(path)
    suffix, only_text = suffix_of(name), is_compressed(path)
    return [(half, fmt) for half, fmt in all_formats(kind) if fmt.claims(name, suffix) and (fmt.text or not only_text)]


def kind_of(path: str) -> Kind | None:
    """Return the kind that the name of a path or glob stands for."""
    return next((kind for kind, _ in claiming(path)), None)


def of_content(head: bytes, kind: Kind | None = None) -> tuple[Kind, Format] | None:
    """Return the format that recognises the beginning of a file."""
    return next(((half, fmt) for half, fmt in all_formats(kind) if fmt.recognises(head)), None)


def of_file(path: str, kind: Kind | None = None) -> tuple[Kind, Format] | None:
    """Return the format of a file: by its name, and by its content where the name doesn't settle it."""
    return by_name(path, kind) or by_content(path, _head(path), kind)


def by_name(path: str, kind: Kind | None = None) -> tuple[Kind, Format] | None:
    """Return the format of a file whose name settles it."""
    claimed = claiming(path, kind)
    return claimed[0] if len(claimed) == 1 and not claimed[0][1].incidental else None


def by_content(path: str, head: bytes, kind: Kind | None = None) -> tuple[Kind, Format] | None:
    """Return the format of a file by its beginning, and by its name where that doesn't tell."""
    claimed = claiming(path, kind)
    found = next((one for one in claimed if one[1].recognises(head)), None) or of_content(head, kind)
    if found is None or (is_compressed(path) and not found[1].text):
        return claimed[0] if claimed else None
    return found


def of_text(path: str, kind: Kind, named: Format) -> Format:
    """Return the format of a text: that which its content tells, if it isn't the one of its name.

    Tables and structures of other formats are called .xyz, too.
    """
    if not named.text or named.recognises(head := _head(path)):
        return named
    found = of_content(head, kind)
    return found[1] if found is not None and found[1].text else named


def _head(path: str) -> bytes:
    """Return the beginning of a file; nothing where it can't be read, which the checks of the file will say."""
    try:
        return look_at(path).beginning(HEAD)
    except (InputError, OSError, EOFError, ValueError, lzma.LZMAError, zlib.error):
        return b""
