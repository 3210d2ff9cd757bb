"""Where the frames of a file lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class FramePlace(NamedTuple):
    """Where one frame lies."""

    path: str
    size: int
    """Bytes of the file."""
    first: int
    """Start of the first frame in the file."""
    start: int
    """In bytes of a text; the number of the frame where a library reads the file."""
    stop: int
    n_atoms: int


@dataclass(slots=True)
class FrameIndex:
    """Places and atom counts of the frames of one file."""

    starts: list[int] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)
    n_atoms: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, start: int, stop: int, n_atoms: int) -> None:
        """Append a frame."""
        self.starts.append(start)
        self.stops.append(stop)
        self.n_atoms.append(n_atoms)

    def extend(self, other: FrameIndex) -> None:
        """Append the frames of another file."""
        self.starts += other.starts
        self.stops += other.stops
        self.n_atoms += other.n_atoms
        self.warnings += other.warnings
