"""A structure of ASE as arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from stemdask.sources.atoms.structure import Structure, of_numbers


def structure_of(atoms: Any) -> Structure:
    """Return what an `ase.Atoms` holds."""
    time = atoms.info.get("time")
    cell = np.array(atoms.cell) if atoms.cell.rank == 3 else np.zeros((3, 3))
    structure = of_numbers(atoms.numbers, atoms.positions, cell, atoms.pbc)
    return structure if time is None else replace(structure, time=float(time))
