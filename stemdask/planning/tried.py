"""Frames that stand for all of a run, where looking at a few must do."""

from __future__ import annotations

#: Frames that are tried, where none of them is bad.
TRIED = 3


def spread(n_frames: int) -> list[int]:
    """Return frames to try: first, middle and last, and some more in case these are bad."""
    return list(dict.fromkeys(round(x * (n_frames - 1)) for x in (0, 0.5, 1, 0.25, 0.75, 0.1, 0.4, 0.6, 0.9)))
