"""Decimal numbers from text at the speed of the disk, equal to Python's `float` to the last bit.

A number is read as an integer of up to 19 digits times a power of ten. With at most 53 bits and a power up to 10^22
both are exact and so one division rounds correctly (Clinger 1990). Longer ones are divided in double-double
arithmetic, whose error is far below the last bit: the result is sure unless it lies within that error of half-way
between two doubles. What isn't sure, and whatever isn't a plain number, is left to `float` itself.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stemdask.errors import InputError
from stemdask.model import Array

SKIP, WORD = -1, -2
"""What to do with a column of text that is no number: nothing, or tell which word it is."""

_POWERS = 10.0 ** np.arange(23)
_SPLITTER = 134217729.0  # 2^27 + 1, Dekker's
_MOST_WORDS = 255


def parse_table(text: bytes, n_rows: int, roles: list[int]) -> tuple[NDArray[np.float64], list[bytes], Array]:
    """Parse lines of columns that blanks separate.

    Parameters
    ----------
    text
        At least `n_rows` lines.
    n_rows
        Number of lines to read.
    roles
        Of each column: where its number goes in a row of the result, `SKIP`, or `WORD` (for one column).

    Returns
    -------
    numbers
        (n_rows, n_numbers).
    words, kinds
        The different words, and which of them each row has, (n_rows,).

    Raises
    ------
    InputError
        A line is missing or short, or holds no number where one must be.
    """
    numbers = np.empty((n_rows, max(roles) + 1))
    kinds = np.zeros(n_rows, np.uint8)
    places = np.empty((_MOST_WORDS, 2), np.int64)
    unsure = np.empty((numbers.size, 3), np.int64)
    buffer = np.frombuffer(text, np.uint8)
    done, n_words, n_unsure = _parse_table(buffer, np.array(roles), numbers, kinds, places, unsure)
    if n_words > _MOST_WORDS:
        raise InputError(f"more than {_MOST_WORDS} different words in the column of the elements")
    if done < n_rows:
        raise InputError(f"{n_rows} atom lines of {len(roles)} columns were expected, line {done + 1} is short")
    for target, start, stop in unsure[:n_unsure].tolist():
        numbers.flat[target] = _float(text[start:stop])
    return numbers, [text[start:stop] for start, stop in places[:n_words].tolist()], kinds


def parse_fields(text: bytes, starts: NDArray[np.int64], width: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Parse numbers in fields of fixed width; blanks around a number are allowed.

    Raises
    ------
    InputError
        A field holds no number; the message shows it.
    """
    stops = starts + width
    values = np.empty(starts.size)
    unsure = np.empty(starts.size, np.int64)
    for k in unsure[: _parse_fields(np.frombuffer(text, np.uint8), starts, stops, values, unsure)].tolist():
        values[k] = _float(text[starts[k] : stops[k]])
    return values


def _float(field: bytes) -> float:
    try:
        return float(field.replace(b"_", b"?").replace(b"\n", b"?"))  # float allows 1_000, no file format does
    except ValueError:
        raise InputError("a number was expected", value=field[:40].decode("ascii", "replace")) from None


@njit(cache=True, nogil=True, error_model="numpy")
def _parse_table(
    text: Array, roles: Array, numbers: Array, kinds: Array, places: Array, unsure: Array
) -> tuple[int, int, int]:
    """Return the lines done, the number of different words and that of the numbers left to `float`."""
    at = n_words = n_unsure = 0
    n_columns = roles.size
    n_numbers = numbers.shape[1]
    for row in range(kinds.size):
        column = 0
        while column < n_columns:
            while at < text.size and text[at] <= 32 and text[at] != 10:
                at += 1
            if at >= text.size or text[at] == 10:
                return row, n_words, n_unsure
            begin = at
            role = roles[column]
            if role >= 0:
                value, at, sure = _number(text, at, text.size)
                if not sure or (at < text.size and text[at] > 32):
                    while at < text.size and text[at] > 32:
                        at += 1
                    unsure[n_unsure, 0] = row * n_numbers + role
                    unsure[n_unsure, 1] = begin
                    unsure[n_unsure, 2] = at
                    n_unsure += 1
                numbers[row, role] = value
            else:
                while at < text.size and text[at] > 32:
                    at += 1
                if role == WORD:
                    kind = _find_word(text, begin, at, places, n_words, kinds[row - 1] if row > 0 else 0)
                    if kind == n_words:
                        n_words += 1
                        if n_words > places.shape[0]:
                            return row, n_words, n_unsure
                        places[kind, 0] = begin
                        places[kind, 1] = at
                    kinds[row] = kind
            column += 1
        while at < text.size and text[at] != 10:
            at += 1
        at += 1
    return kinds.size, n_words, n_unsure


@njit(cache=True, nogil=True, error_model="numpy")
def _find_word(text: Array, begin: int, end: int, places: Array, n_words: int, guess: int) -> int:
    """Return which known word stands at [begin, end); `n_words` where it is new. Most rows repeat the last one."""
    for step in range(-1, n_words):
        kind = guess if step < 0 else step
        if kind >= n_words or places[kind, 1] - places[kind, 0] != end - begin:
            continue
        same = True
        for k in range(end - begin):
            if text[begin + k] != text[places[kind, 0] + k]:
                same = False
                break
        if same:
            return kind
    return n_words


@njit(cache=True, nogil=True, error_model="numpy")
def _parse_fields(text: Array, starts: Array, stops: Array, values: Array, unsure: Array) -> int:
    n_unsure = 0
    for k in range(starts.size):
        begin, stop = starts[k], min(stops[k], text.size)
        while begin < stop and text[begin] == 32:
            begin += 1
        value, end, sure = _number(text, begin, stop)
        while end < stop and text[end] == 32:
            end += 1
        values[k] = value
        if not sure or end != stop:
            unsure[n_unsure] = k
            n_unsure += 1
    return n_unsure


@njit(cache=True, nogil=True, error_model="numpy")
def _number(text: Array, at: int, stop: int) -> tuple[float, int, bool]:
    """Read a number as far as it goes; return it, the place behind it and whether it is sure."""
    negative = at < stop and text[at] == 45
    if at < stop and (text[at] == 45 or text[at] == 43):
        at += 1
    integer = np.uint64(0)
    begin = at
    while at < stop:
        digit = np.uint64(text[at]) - np.uint64(48)  # whatever isn't a digit wraps to something large
        if digit > np.uint64(9):
            break
        integer = integer * np.uint64(10) + digit
        at += 1
    n_digits = at - begin
    exponent = 0
    if at < stop and text[at] == 46:
        at += 1
        begin = at
        while at < stop:
            digit = np.uint64(text[at]) - np.uint64(48)
            if digit > np.uint64(9):
                break
            integer = integer * np.uint64(10) + digit
            at += 1
        exponent = begin - at
        n_digits += at - begin
    if at < stop and (text[at] | 32) == 101:
        at += 1
        below = at < stop and text[at] == 45
        if at < stop and (text[at] == 45 or text[at] == 43):
            at += 1
        stated = 0
        begin = at
        while at < stop and 48 <= text[at] <= 57 and at - begin < 4:
            stated = stated * 10 + text[at] - 48
            at += 1
        if at == begin:
            return 0.0, at, False
        exponent += -stated if below else stated
    # 19 digits always fit 64 bits; leading zeros are few enough to count as digits.
    if n_digits == 0 or n_digits > 19 or exponent < -22 or exponent > 22:
        return 0.0, at, False
    value = float(integer)
    sure = True
    if integer <= np.uint64(9007199254740992):
        value = value / _POWERS[-exponent] if exponent < 0 else value * _POWERS[exponent]
    elif exponent < 0:
        value, sure = _divide(integer, _POWERS[-exponent])
    else:
        sure = False
    return -value if negative else value, at, sure


@njit(cache=True, nogil=True, error_model="numpy")
def _divide(integer: np.uint64, power: np.float64) -> tuple[float, bool]:
    """Divide an integer of 54 to 64 bits by an exact power of ten; return the quotient and whether it is sure."""
    low_bits = integer & np.uint64(2047)
    high = np.float64(integer - low_bits)
    low = np.float64(low_bits)
    quotient = (high + low) / power
    # quotient * power as an exact sum of two doubles (Dekker 1971); then what it leaves of the integer.
    c = _SPLITTER * quotient
    a_high = c - (c - quotient)
    a_low = quotient - a_high
    c = _SPLITTER * power
    b_high = c - (c - power)
    b_low = power - b_high
    product = quotient * power
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    rest = ((high - product) + (low - error)) / power
    value = quotient + rest
    spare = rest - (value - quotient)
    half_step = 0.5 * (np.nextafter(value, np.inf) - value)
    # A power of two has a smaller step below than above: it is left to float, as is a near tie.
    sure = abs(abs(spare) - half_step) > 1e-6 * half_step and abs(abs(spare) - 0.5 * half_step) > 1e-6 * half_step
    return value, sure
