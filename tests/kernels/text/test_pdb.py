"""Records of PDB found in bytes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stemdask.kernels.text.pdb import END, ENDMDL, MODEL, atom_lines, element_kinds, separators

ATOM = b"ATOM      1 PT   MOL     1       1.000   2.000   3.000"


def text(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def test_what_separates_frames_is_found_with_the_atoms_before_it() -> None:
    content = b"MODEL 1\n" + ATOM + b"\nENDMDL\nMODEL 2\nHETATM\n" + ATOM + b"\nENDMDL\nEND\n"
    places, kinds, counts, n_atoms = separators(text(content))
    assert kinds.tolist() == [MODEL, ENDMDL, MODEL, ENDMDL, END]
    assert counts.tolist() == [0, 1, 1, 3, 3]
    assert n_atoms == 3
    for place, word in zip(places, (b"MODEL", b"ENDMDL", b"MODEL", b"ENDMDL", b"END\n"), strict=True):
        assert content[place:].startswith(word)


@pytest.mark.parametrize("line", [b"ENDING", b"REMARK MODEL", b" MODEL", b"MODE", b"ANISOU", b"HETNAM", b"EN", b""])
def test_words_that_only_look_like_records_are_none(line: bytes) -> None:
    _, kinds, _, n_atoms = separators(text(line + b"\n"))
    assert kinds.size == n_atoms == 0


def test_atom_lines_are_found_from_their_first_to_their_last_byte() -> None:
    content = b"REMARK\n" + ATOM + b"  1.00\nTER\n" + ATOM
    starts, ends = atom_lines(text(content), 2)
    assert [content[a:b] for a, b in zip(starts, ends, strict=True)] == [ATOM + b"  1.00", ATOM]


def test_a_short_line_makes_the_count_come_out_wrong() -> None:
    assert len(atom_lines(text(ATOM + b"\n" + ATOM[:50]), 2)[0]) == 0
    assert len(atom_lines(text(ATOM[:40] + b"\n" + ATOM + b"\n"), 2)[0]) == 1


def test_elements_are_told_apart_by_their_column_or_where_it_is_blank_by_the_name() -> None:
    rows = [
        (" PT ", "AU"),
        (" PT ", "AU"),
        (" AU ", "PT"),
        (" CA ", " C"),
        (" X  ", "C "),
        (" OW ", "  "),
        ("OW  ", ""),
    ]
    lines = [f"ATOM      1 {name} MOL     1    {'':24}  1.00  0.00          {element}" for name, element in rows]
    content = text("\n".join(lines).encode())
    starts, ends = atom_lines(content, len(rows))
    kinds, codes = np.empty(len(rows), np.uint8), np.empty(8, np.uint32)
    n_words = element_kinds(content, starts, ends, kinds, codes)
    words = [int(code).to_bytes(4, "little").rstrip(b"\0") for code in codes[:n_words]]
    assert words == [b"AU", b"PT", b"C", b" OW ", b"OW  "]
    assert kinds.tolist() == [0, 0, 1, 2, 2, 3, 4]


def test_more_elements_than_there_is_room_for_are_counted_as_one_more() -> None:
    content = text("\n".join(f"{ATOM.decode():76}{element}" for element in ("AU", "PT", "CU")).encode())
    starts, ends = atom_lines(content, 3)
    assert element_kinds(content, starts, ends, np.empty(3, np.uint8), np.empty(2, np.uint32)) == 3
