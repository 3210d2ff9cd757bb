"""A structure of ASE as arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from stemdask.sources.atoms.structure import Structure, of_numbers


def structure_of(atoms: Any) -> Structure:
    """Return what an `ase.Atoms` holds."""
    time = atoms.info.get("time")
    structure = of_numbers(atoms.numbers, atoms.positions, np.array(atoms.cell), atoms.pbc)
    return structure if time is None else replace(structure, time=float(time))
