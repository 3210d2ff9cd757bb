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

_POWERS = 10.0 ** np.arange(23)
_SPLITTER = 134217729.0  # 2^27 + 1, Dekker's


def parse_fields(text: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.float64]:
    """Parse the numbers in ``text[start:stop]``; blanks around a number are allowed.

    Raises
    ------
    InputError
        A field holds no number; the message shows it.
    """
    values = np.empty(starts.size)
    unsure = np.empty(starts.size, np.int64)
    buffer = np.frombuffer(text, np.uint8)
    for k in unsure[: _parse(buffer, starts, stops, values, unsure)]:
        field = text[starts[k] : stops[k]]
        try:
            values[k] = float(field.replace(b"_", b"?"))  # Python allows 1_000, no file format does
        except ValueError:
            raise InputError("a number was expected", value=field[:40].decode("ascii", "replace")) from None
    return values


def split_lines(text: bytes, n_lines: int, n_columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the first `n_columns` words of each of the first `n_lines` lines.

    Returns
    -------
    starts, stops
        (n_lines, n_columns), byte positions.

    Raises
    ------
    InputError
        Fewer lines, or fewer words in one.
    """
    starts = np.empty((n_lines, n_columns), np.int64)
    stops = np.empty((n_lines, n_columns), np.int64)
    done = _split(np.frombuffer(text, np.uint8), starts, stops)
    if done < n_lines:
        raise InputError(f"{n_lines} atom lines of {n_columns} columns were expected, line {done + 1} is short")
    return starts, stops


@njit(cache=True, nogil=True, error_model="numpy")
def _split(text: Array, starts: Array, stops: Array) -> int:
    position = 0
    n_lines, n_columns = starts.shape
    for line in range(n_lines):
        column = 0
        while position < text.size and text[position] != 10:
            if text[position] <= 32:
                position += 1
                continue
            begin = position
            while position < text.size and text[position] > 32:
                position += 1
            if column < n_columns:
                starts[line, column] = begin
                stops[line, column] = position
            column += 1
        if column < n_columns:
            return line
        position += 1
    return int(n_lines)


@njit(cache=True, nogil=True, error_model="numpy")
def _parse(text: Array, starts: Array, stops: Array, values: Array, unsure: Array) -> int:
    """Fill `values`; list the fields left to `float` in `unsure` and return their number."""
    n_unsure = 0
    for k in range(starts.size):
        position, stop = starts[k], stops[k]
        while position < stop and text[position] == 32:
            position += 1
        while stop > position and text[stop - 1] == 32:
            stop -= 1
        negative = position < stop and text[position] == 45
        if position < stop and (text[position] == 45 or text[position] == 43):
            position += 1
        integer = np.uint64(0)
        n_digits = 0  # from the first that isn't zero
        n_seen = 0
        fraction = 0
        point = False
        while position < stop:
            digit = text[position] - 48
            if 0 <= digit <= 9:
                integer = integer * np.uint64(10) + np.uint64(digit)
                n_seen += 1
                if n_digits > 0 or digit > 0:
                    n_digits += 1
                if point:
                    fraction += 1
            elif text[position] == 46 and not point:
                point = True
            else:
                break
            position += 1
        exponent = 0
        if position + 1 < stop and (text[position] | 32) == 101:
            position += 1
            below = text[position] == 45
            if text[position] == 45 or text[position] == 43:
                position += 1
            n_exponent = 0
            while position < stop and 48 <= text[position] <= 57 and n_exponent < 5:
                exponent = exponent * 10 + text[position] - 48
                n_exponent += 1
                position += 1
            if n_exponent == 0:
                position = stop + 1  # not a number: leave it to float, which says so
            if below:
                exponent = -exponent
        exponent -= fraction
        value = 0.0
        sure = position == stop and n_seen > 0 and n_digits <= 19 and -22 <= exponent <= 22
        if sure:
            if integer <= np.uint64(9007199254740992):
                exact = float(integer)
                value = exact / _POWERS[-exponent] if exponent < 0 else exact * _POWERS[exponent]
            elif exponent < 0:
                value, sure = _divide(integer, _POWERS[-exponent])
            else:
                sure = False
        if sure:
            values[k] = -value if negative else value
        else:
            unsure[n_unsure] = k
            n_unsure += 1
    return n_unsure


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
