"""A structure of ASE as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from stemdask.sources.atoms.structure import Structure


def structure_of(atoms: Any) -> Structure:
    """Return what an `ase.Atoms` holds."""
    numbers, kinds = np.unique(atoms.numbers, return_inverse=True)
    periodic = [bool(flag) for flag in atoms.pbc]
    time = atoms.info.get("time")
    return Structure(
        positions=np.ascontiguousarray(atoms.positions, dtype=np.float64),
        words=[str(number).encode() for number in numbers],
        kinds=kinds,
        cell=np.array(atoms.cell) if atoms.cell.rank == 3 else None,
        periodic=(periodic[0], periodic[1], periodic[2]),
        time=float(time) if time is not None else None,
    )
