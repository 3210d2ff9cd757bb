"""Decimal numbers from text at the speed of the disk, equal to Python's `float` to the last bit.

A number is read as an integer of up to 19 digits times a power of ten. With at most 53 bits and a power up to 10^22
both are exact and so one division rounds correctly (Clinger 1990). Longer ones are divided in double-double
arithmetic, whose error is far below the last bit: the result is sure unless it lies within that error of half-way
between two doubles. What isn't sure, and whatever isn't a plain number, is left to `float` itself.
"""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Array
from stemdask.kernels.compiled import kernel

_POWERS = 10.0 ** np.arange(23)
_SPLITTER = 134217729.0  # 2^27 + 1, Dekker's


@kernel
def read_fields(text: Array, starts: Array, stops: Array, values: Array, unsure: Array) -> int:
    """Read the numbers at [start, stop), blanks around them allowed; return how many are left to `float`."""
    n_unsure = 0
    for k in range(starts.size):
        begin, stop = starts[k], min(stops[k], text.size)
        while begin < stop and text[begin] == 32:
            begin += 1
        value, end, sure = read_number(text, begin, stop)
        while end < stop and text[end] == 32:
            end += 1
        values[k] = value
        if not sure or end != stop:
            unsure[n_unsure] = k
            n_unsure += 1
    return n_unsure


@kernel
def read_number(text: Array, at: int, stop: int) -> tuple[float, int, bool]:
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


@kernel
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
