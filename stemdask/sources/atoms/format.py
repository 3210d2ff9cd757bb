"""What a format of atomic structures is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.format import Format


def _sure(path: str) -> bool:
    del path
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class AtomsFormat(Format):
    """How the frames of a file are found and read."""

    index: Callable[[str, int], FrameIndex]
    """Find the frames of a file, given its path and size in bytes, and count their atoms."""
    read: Callable[[FramePlace], Structure]
    """Read one frame without the ones before."""
    ends_whole: Callable[[str], bool] = _sure
    """Tell whether the last number of a file is sure to be whole."""
