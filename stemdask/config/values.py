"""Values that a config gives as text: amounts of memory, walltimes, ranges of frames."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

from stemdask.sources.frame_range import parse_range

_MEMORY = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(B|[kKMGT]i?B)\s*\Z")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_LEAST_MEMORY = 2**20
_WALLTIME = re.compile(r"(?:(\d+)-)?(\d{1,3}):(\d{2}):(\d{2})\Z")


def parse_memory(text: object) -> int:
    """Read "4 GiB" or "500 MB" as bytes; a bare number is refused, since tools disagree on its unit."""
    match = _MEMORY.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not an amount of memory; write for example '4 GiB'")
    unit = match[2]
    base = 1024 if "i" in unit else 1000
    return int(float(match[1]) * base ** _POWERS[unit.rstrip("B").rstrip("i").lower()])


def parse_walltime(text: object) -> int:
    """Read "HH:MM:SS" or "D-HH:MM:SS" as seconds; anything else means different things to different programs."""
    match = _WALLTIME.match(text) if isinstance(text, str) else None
    if match is None or int(match[3]) > 59 or int(match[4]) > 59:
        raise ValueError(f"{text!r} is not a walltime; write it in full and quoted: '02:30:00' or '1-12:00:00'")
    return ((int(match[1] or 0) * 24 + int(match[2])) * 60 + int(match[3])) * 60 + int(match[4])


def walltime_text(value: object, unit: int) -> str:
    """Write a walltime of a site's file as "D-HH:MM:SS".

    Parameters
    ----------
    value
        A number, or text in one of the forms of batch systems: "90", "MM:SS", "HH:MM:SS", "D-HH", "D-HH:MM".
    unit
        Seconds that a number without colons means.
    """
    days, dash, rest = str(value).strip().rpartition("-")
    try:
        parts = [int(part) for part in rest.split(":")]
        before = 86_400 * int(days or 0)
    except ValueError:
        raise ValueError(f"{value!r} is not a walltime") from None
    if dash:
        parts = [*parts, 0, 0][:3]
    elif len(parts) == 1:
        parts = [0, 0, unit * parts[0]]
    hours, minutes, seconds = [0, 0, *parts][-3:]
    whole = before + 3600 * hours + 60 * minutes + seconds
    text = f"{whole % 86_400 // 3600:02d}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 86_400}-{text}" if whole >= 86_400 else text


def _memory(text: object) -> int:
    if isinstance(text, int) and not isinstance(text, bool) and text >= _LEAST_MEMORY:
        return text  # bytes, as a config is written out
    amount = parse_memory(text)
    if amount < _LEAST_MEMORY:
        raise ValueError(f"{text!r} is too little memory; give at least 1 MiB")
    return amount


def _walltime(text: object) -> str:
    parse_walltime(text)
    return str(text)


def _frames(text: object) -> str | None:
    if text is None:
        return None
    parse_range(str(text))
    return "".join(str(text).split())


#: Bytes.
Memory = Annotated[int, BeforeValidator(_memory)]
Walltime = Annotated[str, BeforeValidator(_walltime)]
FrameRange = Annotated[str | None, BeforeValidator(_frames)]
