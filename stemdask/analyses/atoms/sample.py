"""Some frames of a trajectory, from which an analysis finds what holds for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from stemdask.errors import StemdaskError
from stemdask.model import AtomsFrame, Frame


def sample(frames: Sequence[Frame], n_frames: int) -> Iterator[AtomsFrame]:
    """Yield up to `n_frames` frames, spread evenly; the run gives one that can't be read its status and reason."""
    for index in np.unique(np.linspace(0, len(frames) - 1, n_frames).astype(int)) if len(frames) else ():
        try:
            frame = frames[int(index)]
        except StemdaskError:
            continue
        assert isinstance(frame, AtomsFrame)
        yield frame
