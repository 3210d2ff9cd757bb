"""What a format of atomic structures is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.first_look import FirstLook
from stemdask.sources.format import Format


def _sure(file: FirstLook) -> bool:
    del file
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class AtomsFormat(Format):
    """How the frames of a file are found and read."""

    index: Callable[[FirstLook], FrameIndex]
    """Find the frames of a file, and count their atoms."""
    read: Callable[[FramePlace], Structure]
    """Read one frame without the ones before."""
    ends_whole: Callable[[FirstLook], bool] = _sure
    """Tell whether the last number of a file is sure to be whole."""
