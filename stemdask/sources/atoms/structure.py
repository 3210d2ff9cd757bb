"""What a parser returns: one structure as arrays, before it is checked and numbered as a frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stemdask.kernels.arrays import AnyIntegers, Floats

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


def stated_time(text: bytes) -> float | None:
    """Find ``time=2.5``, ``t= 2.5`` or ``step=100`` in a comment; the time rather than the step where both stand."""
    found = sorted(_TIME.finditer(text), key=lambda match: b"step" in match[0].lower())
    try:
        return float(found[0][1]) if found else None
    except ValueError:
        return None
