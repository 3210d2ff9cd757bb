"""Unpacking the coordinates of XTC: whole numbers, each atom in full or by its step from one before.

The packing is ``xdr3dfcoord`` of GROMACS (F. van Hoesel; xdrfile 1.1.4). The three numbers of an atom are digits of one
number, to the bases of the box; those of a step have one base of a table, which changes with the length of steps. Small
steps come in runs, and the first atom of a run lies before the one that it is a step from.
"""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Array, Integers
from stemdask.kernels.compiled import kernel

#: Bases of the digits of steps; the place of one is also the number of bits of its three digits.
_BASES = np.array(
    [0] * 9
    + [8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 101, 128, 161, 203, 256, 322, 406, 512, 645, 812, 1024, 1290, 1625]
    + [2048, 2580, 3250, 4096, 5060, 6501, 8192, 10321, 13003, 16384, 20642, 26007, 32768, 41285, 52015, 65536, 82570]
    + [104031, 131072, 165140, 208063, 262144, 330280, 416127, 524287, 660561, 832255, 1048576, 1321122, 1664510]
    + [2097152, 2642245, 3329021, 4194304, 5284491, 6658042, 8388607, 10568983, 13316085, 16777216],
    np.int64,
)
_FIRST = 9
#: Places of the table; programs go one beyond the last base where no step is short enough for one.
PLACES = range(_FIRST, len(_BASES) + 1)
#: Largest size of a box whose three digits are packed as one number.
_TOGETHER = 0xFFFFFF


def unpack(data: Array, n_atoms: int, lowest: Integers, highest: Integers, place: int) -> Integers:
    """Return the coordinates of a frame.

    Parameters
    ----------
    data
        (n,), uint8: the bits of the frame, and no more bytes than they need.
    n_atoms
        Number of atoms.
    lowest, highest
        (3,), the corners of the box in which all atoms are; their difference is less than 2³².
    place
        Of the first base of steps, in `PLACES`.

    Returns
    -------
    (n_atoms, 3), in units of the precision.

    Raises
    ------
    ValueError
        The bits are those of no frame, or of another number of atoms or bytes, or of atoms outside of the box; says at
        which atom. Whatever they are, nothing beyond the arrays is read or written.
    """
    sizes = [int(high) - int(low) + 1 for low, high in zip(lowest, highest, strict=True)]
    apart = max(sizes) > _TOGETHER
    n_bits = [size.bit_length() if apart else 0 for size in sizes]
    together = 0 if apart else (sizes[0] * sizes[1] * sizes[2]).bit_length()
    found = np.empty((n_atoms, 3), np.int64)
    done, end = _unpack(data, np.array(sizes), np.array([together, *n_bits]), place, found)
    found += lowest
    if done < n_atoms:
        raise ValueError(f"coordinates that end or leave the table of steps at atom {done}")
    if -(-end // 8) != len(data):
        raise ValueError(f"{len(data)} bytes of coordinates that take {-(-end // 8)}")
    outside = (found > highest).any(axis=1) | (found < lowest).any(axis=1)
    if outside.any():
        raise ValueError(f"coordinates of atom {int(np.argmax(outside))} outside of the box of all")
    return found


@kernel
def _unpack(data: Array, sizes: Integers, n_bits: Integers, place: int, found: Integers) -> tuple[int, int]:
    """Fill in coordinates from the corner of the box; return how many atoms could be, and where the bits end."""
    total, n_atoms = 8 * len(data), len(found)
    bases, before = np.zeros(3, np.int64), np.zeros(3, np.int64)
    at, atom, run = 0, 0, 0
    while atom < n_atoms:
        if at + n_bits.sum() + 1 > total:
            return atom, at
        if n_bits[0] > 0:
            _digits(data, at, n_bits[0], sizes, found[atom])
            at += n_bits[0]
        else:
            for axis in range(3):
                found[atom, axis] = _bits(data, at, n_bits[1 + axis])
                at += n_bits[1 + axis]
        turn = 0
        at += 1
        if _bits(data, at - 1, 1) == 1:
            if at + 5 > total:
                return atom, at
            run = _bits(data, at, 5)
            at += 5
            turn = run % 3 - 1
        n_steps = run // 3
        if atom + n_steps >= n_atoms or at + n_steps * place > total or (n_steps and place == len(_BASES)):
            return atom, at
        base = int(_BASES[place]) if n_steps else 0
        bases[:] = base
        before[:] = found[atom]
        for k in range(n_steps):
            _digits(data, at, place, bases, found[atom + 1])
            at += place
            for axis in range(3):
                here = found[atom + 1, axis] + before[axis] - base // 2
                if k == 0:  # the hydrogen of a water is written after its oxygen, and lies before it
                    found[atom, axis], found[atom + 1, axis] = here, before[axis]
                else:
                    found[atom + 1, axis] = here
                before[axis] = here
            atom += 1
        atom += 1
        place += turn
        if place < _FIRST or place > len(_BASES):
            return atom - 1, at
    return atom, at


@kernel
def _bits(data: Array, at: int, n: int) -> int:
    """Return a number of at most 32 bits, the highest first."""
    value = 0
    while n > 0:
        room = 8 - at % 8
        taken = min(room, n)
        byte = int(np.int64(data[at // 8]))  # with a sign, or numba computes with real numbers
        value = (value << taken) | ((byte >> (room - taken)) & ((1 << taken) - 1))
        at += taken
        n -= taken
    return value


@kernel
def _digits(data: Array, at: int, n: int, bases: Integers, digits: Integers) -> None:
    """Take the digits, the highest first, of a number of at most 72 bits whose lowest byte comes first."""
    low = high = 0  # the lowest four bytes, and the others
    for k in range(-(-n // 8)):
        byte = _bits(data, at + 8 * k, min(8, n - 8 * k))
        if k < 4:
            low |= byte << (8 * k)
        else:
            high |= byte << (8 * (k - 4))
    for axis in (2, 1):
        low |= (high % bases[axis]) << 32
        high //= bases[axis]
        digits[axis] = low % bases[axis]
        low //= bases[axis]
    digits[0] = low if high == 0 else 1 << 32  # which is outside of any box
