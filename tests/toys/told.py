"""What a test of a fault tells docs/reliability.md."""

from __future__ import annotations

from collections.abc import Sequence


def fault(codes: Sequence[int], again: int | None) -> str:
    """Return the row of a fault after which bytes were equal and no job was left: exit codes, frames done twice."""
    twice = "not counted" if again is None else str(again)
    return f"exit code {', then '.join(map(str, codes))}; bytes equal; jobs left 0; frames done twice {twice}"
