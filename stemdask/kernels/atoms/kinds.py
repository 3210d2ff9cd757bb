"""Codes of the surroundings of an atom; 5, 10 and 11 are left to those that have no template."""

from __future__ import annotations

OTHER, FCC, HCP, BCC, ICOSAHEDRAL = 0, 1, 2, 3, 4
CUBIC_DIAMOND, HEXAGONAL_DIAMOND, SIMPLE_CUBIC, FIVE_FOLD_AXIS = 6, 7, 8, 9
