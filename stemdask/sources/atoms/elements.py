"""Chemical symbols as they stand in files, to atomic numbers, and how far apart atoms of an element are."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import ase.data
import numpy as np
from numpy.typing import NDArray

from stemdask.errors import InputError

#: Lattice parameters [angstrom] of Kang et al., github.com/jungwonparklab/analysis-time-resolved-3d-recon-kang.
_LATTICE_PARAMETER = {78: 3.912, 79: 4.0782}
#: Nearest neighbours [angstrom] in uranium, neptunium and plutonium, of which the covalent radii are far too large.
_ACTINIDES = {92: 2.75, 93: 2.60, 94: 2.57}
#: Nearest neighbours [angstrom] in crystals whose state ASE doesn't know, or not as a simple one.
_CRYSTALS = {2: 3.1, 49: 3.25, 80: 3.01, 86: 4.7}
#: Axial ratio of close-packed spheres, and the one below which "hcp" is the lattice of chains, as of selenium.
_IDEAL, _CLOSE_PACKED = 1.633, 1.5
#: Elements between which bonds are as long as the sum of their covalent radii, and by what they may be longer.
_NON_METALS = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Ge", "As", "Se", "Br", "Te", "I")
_STRETCHED = 1.15
#: Close-packed crystals of no metallic bonds.
_GASES = ("H", "He", "N", "O", "F", "Ne", "Ar", "Kr", "Xe", "Rn")
_NOBLE_GASES = ("He", "Ne", "Ar", "Kr", "Xe", "Rn")
_HYDROGEN = {"D": 1, "T": 1}
#: The last element. Numbers beyond stand for types of atoms whose element isn't known.
_LAST = 118
_TYPE = re.compile(r"type (\d{1,3})")
_MOST_TYPES = 255 - _LAST


@lru_cache(maxsize=1024)
def atomic_number(symbol: str) -> int:
    """Return the atomic number of a symbol in any case; 0 where there is no such element."""
    name = symbol.strip().capitalize()
    if name in _HYDROGEN:
        return _HYDROGEN[name]
    return int(ase.data.atomic_numbers.get(name, 0))


def numbers_of(words: Sequence[bytes], meaning: Mapping[str, str] | None = None) -> NDArray[np.uint8]:
    """Return the atomic numbers of symbols, or of atomic numbers written as digits.

    Atoms of "type k", of a file that names no elements, get 118 + k: they are told apart, and nothing more.

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
            allowed=f"H to Og, in any case, or atomic numbers; type 1 to type {_MOST_TYPES}",
            remedy=f"Name them with the key `elements` of the input, such as {{{unknown[0]!r}: Pt}}",
        )
    return np.array(found, np.uint8)


def chemical_symbol(number: int) -> str:
    """Return the symbol of an atomic number, or "type k" of atoms whose element isn't known."""
    return f"type {number - _LAST}" if is_anonymous(number) else str(ase.data.chemical_symbols[int(number)])


def is_anonymous(number: int) -> bool:
    """Tell whether a number stands for a type of atoms whose element isn't known."""
    return number > _LAST


def symbol_of_name(name: bytes) -> bytes:
    """Return the letters of an atom name where they are an element (PT1 is Pt), otherwise their first (OW is O)."""
    letters = "".join(c for c in name.decode("ascii", "replace") if c.isalpha())
    return (letters if atomic_number(letters) else letters[:1]).encode()[:2]


def nearest_distance(number: int) -> float:
    """Return the nearest-neighbour distance [angstrom] in the bulk element, or twice its covalent radius.

    Bulk structures are ASE's reference states. NaN for atoms whose element isn't known.
    """
    if is_anonymous(number):
        return math.nan
    if number in _LATTICE_PARAMETER:
        return _LATTICE_PARAMETER[number] * math.sqrt(0.5)
    if number in _ACTINIDES or number in _CRYSTALS:
        return (_ACTINIDES | _CRYSTALS)[number]
    state: Any = ase.data.reference_states[number] if number < len(ase.data.reference_states) else None
    if state is not None and "a" in state:
        factor = {"fcc": np.sqrt(0.5), "bcc": np.sqrt(0.75), "hcp": 1.0, "diamond": np.sqrt(3) / 4, "sc": 1.0}
        chains = state["symmetry"] == "hcp" and state.get("c/a", _IDEAL) < _CLOSE_PACKED
        if state["symmetry"] in factor and not chains:
            return float(state["a"] * factor[state["symmetry"]])
    return 2 * float(ase.data.covalent_radii[min(number, len(ase.data.covalent_radii) - 1)])


@lru_cache(maxsize=256)
def is_metal(number: int) -> bool:
    """Tell whether the bulk element is a metal whose nearest neighbours are known: fcc, bcc or close-packed hcp."""
    state: Any = ase.data.reference_states[number] if number < len(ase.data.reference_states) else None
    simple = state is not None and state["symmetry"] in ("fcc", "bcc", "hcp") and "a" in state
    return simple and chemical_symbol(number) not in _GASES and state.get("c/a", _IDEAL) >= _CLOSE_PACKED


def is_noble_gas(number: int) -> bool:
    """Tell whether an element is a noble gas, whose crystals are close-packed."""
    return not is_anonymous(number) and chemical_symbol(number) in _NOBLE_GASES


def is_non_metal(number: int) -> bool:
    """Tell whether an element forms covalent bonds or none."""
    return not is_anonymous(number) and chemical_symbol(number) in {*_NON_METALS, *_NOBLE_GASES}


def covalent_bonds(numbers: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the longest bond [angstrom] between each two of some elements; 0 where one of them is a metal."""
    known = np.isin(numbers, [ase.data.atomic_numbers[symbol] for symbol in _NON_METALS])
    radius = np.where(known, ase.data.covalent_radii[np.where(known, numbers, 0)], 0.0)
    longest: NDArray[np.float64] = _STRETCHED * (radius[:, None] + radius) * (known[:, None] & known)
    return longest


def longest_bonds(numbers: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the longest bond [angstrom] between each two of some elements, by their covalent radii, metals too."""
    radius = ase.data.covalent_radii[np.where(numbers < len(ase.data.covalent_radii), numbers, 0)]
    longest: NDArray[np.float64] = _STRETCHED * (radius[:, None] + radius)
    return longest


def van_der_waals_radius(number: int, unknown: float) -> float:
    """Return the van der Waals radius [angstrom] of an element, or what is given for those of which it isn't known."""
    from ase.data.vdw import vdw_radii

    radius = float(vdw_radii[number]) if number < len(vdw_radii) else math.nan
    return radius if radius > 0 else unknown


def _number(word: str) -> int:
    if (numbered := _TYPE.fullmatch(word)) and 0 < int(numbered[1]) <= _MOST_TYPES:
        return _LAST + int(numbered[1])
    if word.strip().isdecimal():
        return int(word) if 0 < int(word) <= _LAST else 0
    return atomic_number(word)
