"""Ends of lines in a buffer of text."""

from __future__ import annotations

from stemdask.kernels.arrays import Array
from stemdask.kernels.compiled import kernel


@kernel
def skip_lines(text: Array, position: int, n_lines: int) -> tuple[int, int]:
    """Step over up to `n_lines` line ends; return the position behind the last one and the lines left."""
    behind = position
    for k in range(position, text.size):
        if n_lines == 0:
            break
        if text[k] == 10:
            behind = k + 1
            n_lines -= 1
    return behind, n_lines
