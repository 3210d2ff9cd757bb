"""Numbers in bytes are exact where the kernel is sure, and left to `float` where it isn't."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.text.numbers import read_fields
from stemdask.kernels.text.roles import SKIP, WORD
from stemdask.kernels.text.table import read_table


def read(field: bytes) -> tuple[float, bool]:
    value, unsure = np.empty(1), np.empty(1, np.int64)
    left = read_fields(np.frombuffer(field, np.uint8), np.array([0]), np.array([len(field)]), value, unsure)
    return float(value[0]), left == 0


@pytest.mark.parametrize(
    "field",
    [b"0", b"-0.0", b"1.5", b" 12.375 ", b"-1e-22", b"+.5", b"7.", b"9007199254740992", b"0.123456789012345678"],
)
def test_plain_numbers_are_sure_and_exact(field: bytes) -> None:
    value, sure = read(field)
    assert sure
    assert np.float64(value).tobytes() == np.float64(float(field)).tobytes()


@pytest.mark.parametrize(
    "field", [b"", b"nan", b"1e23", b"1e-23", b"12345678901234567890", b"1.2.3", b"1 2", b"1e", b"--1", b"0x1"]
)
def test_what_is_no_plain_number_is_left_to_float(field: bytes) -> None:
    assert not read(field)[1]


def test_a_tie_between_two_doubles_is_left_to_float() -> None:
    assert not read(b"9007199254740993.0")[1]  # half-way between 2^53 and its upper neighbour


def test_a_table_gives_numbers_in_the_places_asked_for_and_words_by_kind() -> None:
    text = b"  1 Pt 1.5 x -2.5\n2 Au 3.5 y nan\n3 Pt 5 z 6 more\n"
    numbers, kinds = np.empty((3, 2)), np.zeros(3, np.uint8)
    places, unsure = np.empty((4, 2), np.int64), np.empty((6, 3), np.int64)
    roles = np.array([SKIP, WORD, 1, SKIP, 0])
    done, n_words, n_unsure = read_table(np.frombuffer(text, np.uint8), roles, numbers, kinds, places, unsure)
    assert (done, n_words, n_unsure) == (3, 2, 1)
    assert kinds.tolist() == [0, 1, 0]
    assert [text[a:b] for a, b in places[:2]] == [b"Pt", b"Au"]
    assert numbers[:, 1].tolist() == [1.5, 3.5, 5.0]
    assert numbers[[0, 2], 0].tolist() == [-2.5, 6.0]
    target, start, stop = unsure[0]
    assert (target, text[start:stop]) == (2, b"nan")


def test_a_short_line_ends_a_table() -> None:
    numbers, kinds = np.empty((3, 1)), np.zeros(3, np.uint8)
    places, unsure = np.empty((4, 2), np.int64), np.empty((3, 3), np.int64)
    text = np.frombuffer(b"a 1\na\na 1\n", np.uint8)
    assert read_table(text, np.array([WORD, 0]), numbers, kinds, places, unsure)[0] == 1
