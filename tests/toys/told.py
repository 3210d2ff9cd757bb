"""What a test of a fault tells docs/reliability.md."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def fault(codes: Sequence[int], again: int | None) -> str:
    """Return the row of a fault after which bytes were equal and no job was left: exit codes, frames done twice."""
    twice = "not counted" if again is None else str(again)
    return f"exit code {', then '.join(map(str, codes))}; bytes equal; jobs left 0; frames done twice {twice}"


def same(how: str, files: Collection[object]) -> str:
    """Return the row of a run whose files had the bytes of those of a run inline: how it was done, which files."""
    return f"{how}: {len(files)} files, bytes equal to those of a run inline"
