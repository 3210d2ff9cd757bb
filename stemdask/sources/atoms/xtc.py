"""XTC, the compressed trajectories of GROMACS."""

from __future__ import annotations

from stemdask.sources.atoms import xdr
from stemdask.sources.atoms.format import AtomsFormat

FORMAT = AtomsFormat(
    name="xtc",
    suffixes=(".xtc",),
    noun="an XTC file",
    magic=((0, xdr.XTC),),
    index=xdr.index,
    read=xdr.read,
)
