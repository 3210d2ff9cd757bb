"""Numbers parsed from text are those of Python, to the last bit."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.errors import InputError
from stemdask.sources.text_numbers import parse_fields, split_lines

finite = st.floats(allow_nan=False, allow_infinity=False)
digits = st.integers(0, 10**19 - 1)


def parse(*fields: str) -> list[float]:
    text = " ".join(fields).encode()
    lengths = np.array([len(field) for field in fields])
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64)
    return parse_fields(text, starts, starts + lengths).tolist()


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
        parse_fields(text.encode(), np.array([0]), np.array([len(text)]))


@pytest.mark.parametrize("text", ["nan", "-inf", "NaN", "Infinity", "1e400"])
def test_what_float_reads_as_not_finite_is_read_as_such(text: str) -> None:
    assert bits(parse(text)[0]) == bits(float(text))


@given(st.lists(st.lists(st.text("ab1.-", min_size=1, max_size=6), min_size=3, max_size=5), min_size=1, max_size=6))
def test_lines_split_into_words_as_bytes_split_does(lines: list[list[str]]) -> None:
    text = "\n".join("  ".join(line) + " \r" for line in lines).encode()
    starts, stops = split_lines(text, len(lines), 3)
    found = [[text[a:b].decode() for a, b in zip(*pair, strict=True)] for pair in zip(starts, stops, strict=True)]
    assert found == [line[:3] for line in lines]


def test_a_short_line_is_named() -> None:
    with pytest.raises(InputError, match="line 2 is short"):
        split_lines(b"a b c\na b\n", 2, 3)
