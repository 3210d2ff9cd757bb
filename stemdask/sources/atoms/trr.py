"""TRR, the trajectories of GROMACS in full precision."""

from __future__ import annotations

from stemdask.sources.atoms import xdr
from stemdask.sources.atoms.format import AtomsFormat

FORMAT = AtomsFormat(
    name="trr",
    suffixes=(".trr",),
    noun="a TRR file",
    magic=((0, xdr.TRR),),
    index=xdr.index,
    read=xdr.read,
)
