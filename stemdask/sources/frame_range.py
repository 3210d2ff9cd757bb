"""A range of frames as a user writes it, "first:last+1"."""

from __future__ import annotations

import re


def parse_range(text: str) -> slice:
    """Return the slice that a text such as "0:100", "20:" or ":5" means.

    Raises
    ------
    ValueError
        Something else than two numbers around a colon, each of which may be left out, or an empty range.
    """
    match = re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", text)
    start, stop = (int(number) if number else None for number in match.groups()) if match else (0, 0)
    if start is not None and stop is not None and start >= stop:
        raise ValueError(f"{text!r} is not a range of frames; write 'first:last+1', for example '0:100'")
    return slice(start, stop)
