"""Records of a PDB file in a buffer of text: where models and atoms begin, and which elements there are."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Array
from stemdask.kernels.compiled import kernel

ATOM, MODEL, ENDMDL, END = 1, 2, 3, 4


@kernel
def separators(text: Array) -> tuple[Array, Array, Array, int]:
    """Find MODEL, ENDMDL and END; return their places, kinds, the atom lines before each, and all atom lines."""
    capacity = 0
    for k in range(text.size - 2):  # M O D, E N D
        if text[k + 2] == 68 and (text[k + 1] == 79 or text[k + 1] == 78):
            capacity += 1
    places = np.empty(capacity, np.int64)
    kinds = np.empty(capacity, np.int64)
    counts = np.empty(capacity, np.int64)
    found = n_atoms = at = 0
    while at < text.size:
        record = _record(text, at)
        if record == ATOM:
            n_atoms += 1
        elif record != 0:
            places[found] = at
            kinds[found] = record
            counts[found] = n_atoms
            found += 1
        while at < text.size and text[at] != 10:
            at += 1
        at += 1
    return places[:found], kinds[:found], counts[:found], n_atoms


@kernel
def atom_lines(text: Array, n_atoms: int) -> tuple[Array, Array]:
    """Return where the ATOM and HETATM lines of at least 54 characters begin and end.

    The search for their end starts behind z, so that a short line makes the count come out wrong.
    """
    starts = np.empty(n_atoms, np.int64)
    ends = np.empty(n_atoms, np.int64)
    found = at = 0
    while at < text.size:
        is_atom = _record(text, at) == ATOM
        if is_atom:
            if at + 54 > text.size or found == n_atoms:
                return starts[:0], ends[:0]
            starts[found] = at
            at += 54
        while at < text.size and text[at] != 10:
            at += 1
        if is_atom:
            ends[found] = at
            found += 1
        at += 1
    return starts[:found], ends[:found]


@kernel
def element_kinds(text: Array, lines: Array, ends: Array, kinds: Array, codes: Array) -> int:
    """Find the different elements (two bytes) or, where blank, atom names (four bytes); return how many."""
    n_words = 0
    kind = 0
    for k in range(lines.size):
        at = lines[k]
        code = np.uint32(0)
        for column in range(76, min(78, ends[k] - at)):
            if text[at + column] > 32:
                code = code * np.uint32(256) + np.uint32(text[at + column])
        if code == 0:
            for column in range(15, 11, -1):
                code = code * np.uint32(256) + np.uint32(text[at + column])
        elif code > 255:
            code = (code % np.uint32(256)) * np.uint32(256) + code // np.uint32(256)
        if n_words == 0 or codes[kind] != code:
            kind = 0
            while kind < n_words and codes[kind] != code:
                kind += 1
            if kind == codes.size:
                return n_words + 1
            if kind == n_words:
                codes[kind] = code
                n_words += 1
        kinds[k] = kind
    return n_words


@kernel
def _record(text: Array, at: int) -> int:
    """Tell which record begins at `at`, of those that matter here."""
    left = text.size - at
    c = text[at]
    if c == 65 and left >= 6:  # ATOM
        if text[at + 1] == 84 and text[at + 2] == 79 and text[at + 3] == 77:
            return ATOM
    elif c == 72 and left >= 6:  # HETATM
        if text[at + 1] == 69 and text[at + 2] == 84 and text[at + 3] == 65 and text[at + 4] == 84:
            return ATOM
    elif c == 77 and left >= 5:  # MODEL
        if text[at + 1] == 79 and text[at + 2] == 68 and text[at + 3] == 69 and text[at + 4] == 76:
            return MODEL
    elif c == 69 and left >= 3 and text[at + 1] == 78 and text[at + 2] == 68:  # END, ENDMDL
        if left >= 6 and text[at + 3] == 77 and text[at + 4] == 68 and text[at + 5] == 76:
            return ENDMDL
        if left == 3 or text[at + 3] <= 32:
            return END
    return 0
