"""Numbers and words of a text, equal to what Python's `float` makes of them; what is no number is an error."""

from __future__ import annotations

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array, Floats, Integers

_MOST_WORDS = 255


def parse_table(text: bytes, n_rows: int, roles: list[int]) -> tuple[Floats, list[bytes], Array]:
    """Parse lines of columns that blanks separate.

    Parameters
    ----------
    text
        At least `n_rows` lines.
    n_rows
        Number of lines to read.
    roles
        Of each column: where its number goes in a row of the result, or `SKIP` or `WORD` (for one column) of
        `stemdask.kernels.text.roles`.

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
    from stemdask.kernels.text.table import read_table

    numbers = np.empty((n_rows, max(roles) + 1))
    kinds = np.zeros(n_rows, np.uint8)
    places = np.empty((_MOST_WORDS, 2), np.int64)
    unsure = np.empty((numbers.size, 3), np.int64)
    buffer = np.frombuffer(text, np.uint8)
    done, n_words, n_unsure = read_table(buffer, np.array(roles), numbers, kinds, places, unsure)
    if n_words > _MOST_WORDS:
        raise InputError(f"more than {_MOST_WORDS} different words in the column of the elements")
    if done < n_rows:
        raise InputError(f"{n_rows} atom lines of {len(roles)} columns were expected, line {done + 1} is short")
    for target, start, stop in unsure[:n_unsure].tolist():
        numbers.flat[target] = _float(text[start:stop])
    return numbers, [text[start:stop] for start, stop in places[:n_words].tolist()], kinds


def parse_fields(text: bytes, starts: Integers, width: Integers | int) -> Floats:
    """Parse numbers in fields of fixed width; blanks around a number are allowed.

    Raises
    ------
    InputError
        A field holds no number; the message shows it.
    """
    from stemdask.kernels.text.numbers import read_fields

    stops = starts + width
    values = np.empty(starts.size)
    unsure = np.empty(starts.size, np.int64)
    for k in unsure[: read_fields(np.frombuffer(text, np.uint8), starts, stops, values, unsure)].tolist():
        values[k] = _float(text[starts[k] : stops[k]])
    return values


def _float(field: bytes) -> float:
    try:
        return float(field.replace(b"_", b"?").replace(b"\n", b"?"))  # float allows 1_000, no file format does
    except ValueError:
        raise InputError("a number was expected", value=field[:40].decode("ascii", "replace")) from None
