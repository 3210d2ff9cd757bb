"""The one table of formats of each half: a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stemdask.model import Kind
from stemdask.sources.atoms import cif, dcd, gsd, lammps, pdb, traj, xtc, xyz
from stemdask.sources.atoms.format import AtomsFormat
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
        traj.FORMAT,
        gsd.FORMAT,
        xtc.FORMAT,
        dcd.FORMAT,
    )
}


def by_suffix(kind: Kind | None = None) -> dict[str, tuple[Kind, Format]]:
    """Return the kind and the format that each suffix stands for, in the order of the tables."""
    halves: dict[Kind, Mapping[str, Format]] = {"images": IMAGES, "atoms": ATOMS}
    return {
        suffix: (half, fmt)
        for half, table in halves.items()
        if kind in (None, half)
        for fmt in table.values()
        for suffix in fmt.suffixes
    }


def kind_of(path: str) -> Kind | None:
    """Return the kind that the suffix of a path or glob stands for."""
    known = by_suffix().get(Path(path).suffix.lower())
    return known[0] if known else None


def of_content(head: bytes) -> Format | None:
    """Return the format whose signature a file begins with."""
    return next((fmt for _, fmt in by_suffix().values() if fmt.signed(head)), None)
