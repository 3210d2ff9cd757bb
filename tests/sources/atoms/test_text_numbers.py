"""Numbers parsed from text are those of Python, to the last bit."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.errors import InputError
from stemdask.kernels.text.roles import SKIP, WORD
from stemdask.sources.atoms.text_numbers import parse_fields, parse_table

finite = st.floats(allow_nan=False, allow_infinity=False)
digits = st.integers(0, 10**19 - 1)


def parse(*fields: str) -> list[float]:
    text = " ".join(fields).encode()
    lengths = np.array([len(field) for field in fields])
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64)
    return parse_fields(text, starts, lengths).tolist()


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@given(finite)
def test_shortest_text_of_a_double_reads_back_as_itself(value: float) -> None:
    assert bits(parse(repr(value))[0]) == bits(value)


@given(finite, st.sampled_from(["%.3f", "%8.3f", "%16.8f", "%.12g", "%.17g", "%.20e", "%+.6E"]))
def test_formatted_text_reads_as_float_reads_it(value: float, form: str) -> None:
    text = form % value
    assert bits(parse(text)[0]) == bits(float(text))


@given(digits, st.integers(-30, 30), st.sampled_from(["", "-", "+"]))
def test_long_integers_with_an_exponent_read_as_float_reads_them(number: int, exponent: int, sign: str) -> None:
    text = f"{sign}{number}e{exponent}"
    assert bits(parse(text)[0]) == bits(float(text))


@given(st.integers(0, 2**52), st.integers(1, 6), st.integers(-2, 2))
def test_numbers_near_half_way_between_doubles_round_as_float_does(mantissa: int, scale: int, off: int) -> None:
    # 2m + 1 over 2 lies half-way between two doubles once m fills 53 bits.
    half_way = (2 * (mantissa + 2**52) + 1) * 10**scale // 2 + off
    text = f"{str(half_way)[:-scale]}.{str(half_way)[-scale:]}"
    assert bits(parse(text)[0]) == bits(float(text))


def test_many_coordinates_equal_those_of_float() -> None:
    rng = np.random.default_rng(1)
    texts = [f"{v:.{d}f}" for v, d in zip(rng.uniform(-99, 99, 20_000), rng.integers(0, 18, 20_000), strict=True)]
    assert parse(*texts) == [float(text) for text in texts]


@pytest.mark.parametrize("text", ["", ".", "-", "1.2.3", "1e", "1e+", "abc", "1_000", "1,5", "0x10", "1.0 2.0", "--1"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="number"):
        parse_fields(text.encode(), np.array([0]), len(text))


@pytest.mark.parametrize("text", ["nan", "-inf", "NaN", "Infinity", "1e400"])
def test_what_float_reads_as_not_finite_is_read_as_such(text: str) -> None:
    assert bits(parse(text)[0]) == bits(float(text))


words = st.text("abPt", min_size=1, max_size=6)


@given(st.lists(st.tuples(words, finite, finite, words), min_size=1, max_size=20), st.booleans())
def test_tables_are_what_split_and_float_make_of_them(rows: list[tuple[str, float, float, str]], windows: bool) -> None:
    end = " \r\n" if windows else "\n"
    text = "".join(f"  {a} {x!r}\t{y!r} {b}{end}" for a, x, y, b in rows).encode()
    numbers, found, kinds = parse_table(text, len(rows), [WORD, 1, 0, SKIP])
    assert [found[kind].decode() for kind in kinds] == [row[0] for row in rows]
    assert len(set(found)) == len(found)
    assert numbers.tobytes() == np.array([(row[2], row[1]) for row in rows]).tobytes()


def test_a_short_line_is_named() -> None:
    with pytest.raises(InputError, match="line 2 is short"):
        parse_table(b"a 1 2\na 1\na 1 2\n", 3, [WORD, 0, 1])
    with pytest.raises(InputError, match="line 2 is short"):
        parse_table(b"a 1 2\n", 2, [WORD, 0, 1])


def test_too_many_different_words_are_refused() -> None:
    text = "".join(f"w{k} 1\n" for k in range(300)).encode()
    with pytest.raises(InputError, match="different words"):
        parse_table(text, 300, [WORD, 0])
