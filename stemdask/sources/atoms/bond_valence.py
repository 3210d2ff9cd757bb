"""How much longer the bonds of compounds are than their valences allow."""

from __future__ import annotations

import ase.data
import numpy as np

from stemdask.kernels.arrays import AnyIntegers, Floats

#: Radius [angstrom] and electronegativity of elements in bonds of valence one.
#: O'Keeffe and Brese, J. Am. Chem. Soc. 113, 3226 (1991).
_ELEMENTS = """
H 0.38 0.89, Li 1.00 0.97, Be 0.81 1.47, B 0.79 1.60, C 0.78 2.00, N 0.72 2.61, O 0.63 3.15,
F 0.58 3.98, Na 1.36 1.01, Mg 1.21 1.23, Al 1.13 1.47, Si 1.12 1.58, P 1.09 1.96, S 1.03 2.35,
Cl 0.99 2.74, K 1.73 0.91, Ca 1.50 1.04, Sc 1.34 1.20, Ti 1.27 1.32, V 1.21 1.45, Cr 1.16 1.56,
Mn 1.17 1.60, Fe 1.16 1.64, Co 1.09 1.70, Ni 1.04 1.75, Cu 0.87 1.75, Zn 1.07 1.66, Ga 1.14 1.82,
Ge 1.21 1.51, As 1.21 2.23, Se 1.18 2.51, Br 1.13 2.58, Rb 1.84 0.89, Sr 1.66 0.99, Y 1.52 1.11,
Zr 1.43 1.22, Nb 1.40 1.23, Mo 1.37 1.30, Ru 1.21 1.42, Rh 1.18 1.54, Pd 1.11 1.35, Ag 1.12 1.42,
Cd 1.28 1.46, In 1.34 1.49, Sn 1.37 1.72, Sb 1.41 1.72, Te 1.40 2.72, I 1.33 2.38, Cs 2.05 0.86,
Ba 1.88 0.97, La 1.71 1.08, Ce 1.68 1.08, Pr 1.66 1.07, Nd 1.64 1.07, Sm 1.61 1.07, Eu 1.62 1.01,
Gd 1.58 1.11, Tb 1.56 1.10, Dy 1.54 1.10, Ho 1.53 1.10, Er 1.51 1.11, Tm 1.50 1.11, Yb 1.49 1.06,
Lu 1.47 1.14, Hf 1.42 1.23, Ta 1.39 1.33, W 1.38 1.40, Re 1.37 1.46, Ir 1.37 1.55, Hg 1.32 1.44,
Tl 1.62 1.44, Pb 1.53 1.55, Bi 1.54 1.67, Th 1.70 1.11, U 1.59 1.22
"""
#: Valence of the elements that are the more electronegative ones in their compounds.
_VALENCES = "H 1, B 3, C 4, N 3, O 2, F 1, Si 4, P 3, S 2, Cl 1, Ge 4, As 3, Se 2, Br 1, Sb 3, Te 2, I 1"
#: A bond that is longer by this [angstrom] has a valence lower by a factor of e.
_SOFTNESS = 0.37
#: Of an atom with a more electronegative non-metal among its nearest ones, up to this multiple of the distance, no
#: valence is told.
_SHELL = 1.25
#: Factors on distances among which the right one is looked for, and how often the range is halved.
_RANGE, _HALVINGS = (0.002, 500.0), 40


def _tables() -> tuple[Floats, Floats, Floats]:
    radius, electronegativity, valence = np.full((3, 256), np.nan)
    for entry in _ELEMENTS.split(","):
        symbol, r, c = entry.split()
        number = ase.data.atomic_numbers[symbol]
        radius[number], electronegativity[number] = float(r), float(c)
    for entry in _VALENCES.split(","):
        symbol, v = entry.split()
        valence[ase.data.atomic_numbers[symbol]] = float(v)
    return radius, electronegativity, valence


_RADIUS, _ELECTRONEGATIVITY, _VALENCE = _tables()


def stretch(number: AnyIntegers, others: AnyIntegers, distance: Floats) -> Floats:
    """Return by which factor the bonds of atoms are longer than those with which they would have their valence.

    Parameters
    ----------
    number
        (n,), atomic numbers.
    others
        (n, k), those of the nearest atoms of each.
    distance
        (n, k), ascending, how far they are [angstrom].

    Returns
    -------
    Floats
        (n,); NaN of atoms whose valence isn't known, such as those of metals or next to an element that isn't known.
    """
    r, c = _RADIUS[number][:, None], _ELECTRONEGATIVITY[number][:, None]
    other_r, other_c = _RADIUS[others], _ELECTRONEGATIVITY[others]
    length = r + other_r - r * other_r * (np.sqrt(c) - np.sqrt(other_c)) ** 2 / (c * r + other_c * other_r)
    shell = distance < _SHELL * distance[:, :1]
    # Of an element that isn't known, no bond is.
    lower = (other_c <= c) | (np.isnan(_VALENCE[others]) & np.isfinite(other_c))
    known = np.isfinite(_VALENCE[number]) & (~shell | lower).all(axis=1) & (distance[:, 0] > 0)
    length, valence = np.where(np.isfinite(length), length, -np.inf), _VALENCE[number]
    low, high = (np.full(len(number), limit) for limit in _RANGE)
    for _ in range(_HALVINGS):
        factor = np.sqrt(low * high)
        bonds = np.exp(np.minimum((length - factor[:, None] * distance) / _SOFTNESS, 50.0)).sum(axis=1)
        low, high = np.where(bonds > valence, factor, low), np.where(bonds > valence, high, factor)
    found: Floats = np.where(known, 1 / np.sqrt(low * high), np.nan)
    return found
