"""Chemical symbols as they stand in files, to atomic numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import ase.data
import numpy as np
from numpy.typing import NDArray

from stemdask.errors import InputError

_HYDROGEN = {"D": 1, "T": 1}


@lru_cache(maxsize=1024)
def atomic_number(symbol: str) -> int:
    """Return the atomic number of a symbol in any case; 0 where there is no such element."""
    name = symbol.strip().capitalize()
    if name in _HYDROGEN:
        return _HYDROGEN[name]
    return int(ase.data.atomic_numbers.get(name, 0))


def numbers_of(words: Sequence[bytes], meaning: Mapping[str, str] | None = None) -> NDArray[np.uint8]:
    """Return the atomic numbers of symbols, or of atomic numbers written as digits.

    Parameters
    ----------
    words
        As in the file.
    meaning
        Element of a word that isn't one, or is the wrong one.

    Raises
    ------
    InputError
        Names the words that are no elements.
    """
    named = [word.decode("utf-8", "replace").strip() for word in words]
    told = meaning or {}
    found = [_number(told.get(word, told.get(word.removeprefix("type "), word))) for word in named]
    if unknown := [word for word, number in zip(named, found, strict=True) if number == 0]:
        raise InputError(
            "no chemical elements",
            value=", ".join(unknown[:8]),
            allowed="H to Og, in any case, or atomic numbers",
            remedy=f"Say what they are by the key `elements` of the input, such as {{{unknown[0]!r}: Pt}}",
        )
    return np.array(found, np.uint8)


def chemical_symbol(number: int) -> str:
    """Return the symbol of an atomic number."""
    return str(ase.data.chemical_symbols[int(number)])


def _number(word: str) -> int:
    if word.strip().isdecimal():
        return int(word) if 0 < int(word) <= 118 else 0
    return atomic_number(word)
