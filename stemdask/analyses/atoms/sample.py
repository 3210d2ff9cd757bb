"""Some frames of a trajectory, from which an analysis finds what holds for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from stemdask.errors import StemdaskError
from stemdask.model import Array, AtomsFrame, Frame


def sample(frames: Sequence[Frame], n_frames: int) -> Iterator[AtomsFrame]:
    """Yield up to `n_frames` frames, spread evenly; the run gives one that can't be read its status and reason."""
    for index in np.unique(np.linspace(0, len(frames) - 1, n_frames).astype(int)) if len(frames) else ():
        try:
            frame = frames[int(index)]
        except StemdaskError:
            continue
        assert isinstance(frame, AtomsFrame)
        yield frame


def elements(frames: Sequence[Frame], n_frames: int) -> Array:
    """Return the atomic numbers that occur in up to `n_frames` frames, spread evenly, in order."""
    found: set[int] = set()
    for frame in sample(frames, n_frames):
        found.update(frame.numbers.tolist())
    return np.array(sorted(found), np.uint8)


def species(numbers: Array, elements: Array) -> Array:
    """Return the place of each atomic number (n,) among the elements; -1 where it isn't one of them."""
    place = np.full(256, -1)
    place[elements] = np.arange(len(elements))
    found: Array = place[numbers]
    return found
