"""What a parser returns: one structure as arrays, before it is checked and numbered as a frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import AnyIntegers, Array, Floats

_TIME = re.compile(rb"(?:^|[\s,;])(?:time|t|step|timestep|frame_time)\s*[=:]\s*\"?([-+]?[\d.]+(?:[eE][-+]?\d+)?)", re.I)


@dataclass(frozen=True, slots=True)
class Structure:
    """One atomic structure as its file states it."""

    positions: Floats
    """(n, 3), angstrom."""
    words: Sequence[bytes]
    """The different chemical symbols, atomic numbers or atom types, in the words of the file."""
    kinds: AnyIntegers
    """(n,), which of the words each atom has."""
    cell: Floats | None = None
    periodic: tuple[bool, bool, bool] = (False, False, False)
    time: float | None = None


def of_numbers(numbers: AnyIntegers, positions: Floats, cell: Floats, periodic: Array) -> Structure:
    """Return a structure with these atomic numbers; raise InputError where the shapes don't fit.

    Parameters
    ----------
    numbers, positions
        (n,) and (n, 3) [angstrom].
    cell, periodic
        (3, 3) [angstrom] and (3,).
    """
    if positions.shape != (numbers.size, 3) or cell.shape != (3, 3) or periodic.shape != (3,):
        raise InputError(f"{numbers.size} atomic numbers, but positions and cell of {positions.shape}, {cell.shape}")
    found, kinds = np.unique(numbers, return_inverse=True)
    on = periodic.tolist()
    return Structure(
        positions=np.ascontiguousarray(positions, dtype=np.float64),
        words=[str(number).encode() for number in found.tolist()],
        kinds=kinds,
        cell=cell if np.any(cell) else None,
        periodic=(bool(on[0]), bool(on[1]), bool(on[2])),
    )


def stated_time(text: bytes) -> float | None:
    """Find ``time=2.5``, ``t= 2.5`` or ``step=100`` in a comment; the time rather than the step where both stand."""
    found = sorted(_TIME.finditer(text), key=lambda match: b"step" in match[0].lower())
    try:
        return float(found[0][1]) if found else None
    except ValueError:
        return None
