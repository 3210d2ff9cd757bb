"""Lines of columns that blanks separate, to numbers and words."""

from __future__ import annotations

from stemdask.kernels.arrays import Array
from stemdask.kernels.compiled import kernel
from stemdask.kernels.text.numbers import read_number
from stemdask.kernels.text.roles import WORD


@kernel
def read_table(
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
                value, at, sure = read_number(text, at, text.size)
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


@kernel
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
