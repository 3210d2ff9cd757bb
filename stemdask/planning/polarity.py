"""Whether the columns of a run are bright or dark: decided once, from a few frames and the names of their detector."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stemdask.analyses import chain
from stemdask.analyses.images.stack.pixels import pixels_of
from stemdask.analyses.images.stack.preprocess import ANALYSIS as PREPROCESS
from stemdask.analyses.images.stack.preprocess import PreprocessParams
from stemdask.errors import DoubtfulPolarity, FrameError, InputError
from stemdask.kernels.images.finding.polarity import DOUBTFUL, polarity
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.model import Array, Step
from stemdask.planning.tried import TRIED, spread
from stemdask.sources.images.source import ImageSource

#: Detectors as titles and file names have them. Dark field is bright at columns whatever the focus and the thickness;
#: annular bright field is dark there unless one of them turns it round, and bright field may be either.
_DARK_FIELD = re.compile(r"(?<![a-z])[hml]?a?adf(?![a-z])", re.IGNORECASE)
_ANNULAR_BRIGHT_FIELD = re.compile(r"(?<![a-z])abf(?![a-z])", re.IGNORECASE)


def written(steps: Sequence[Step]) -> bool | None:
    """Return what the config says of the contrast under `preprocess`; None where it leaves that open."""
    return next((p.invert for p in _preprocess(steps) if "invert" in p.model_fields_set), None)


def inverted(steps: Sequence[Step], invert: bool) -> tuple[Step, ...]:
    """Return the steps such that `preprocess`, which comes first, turns the contrast round or doesn't."""
    params = next(iter(_preprocess(steps)), None)
    if params is None and not invert:
        return tuple(steps)
    first = Step(PREPROCESS.name, (params or PreprocessParams()).model_copy(update={"invert": invert}))
    return first, *(step for step in steps if step.name != PREPROCESS.name)


def columns_are_dark(source: ImageSource, steps: Sequence[Step]) -> bool:
    """Tell whether the columns of images are dark, by frames that show a lattice; without one they are taken as bright.

    Parameters
    ----------
    source
        The images.
    steps
        Of the run: their `preprocess` comes before.

    Raises
    ------
    DoubtfulPolarity
        The frames don't tell, contradict each other, or contradict the detector that they are named after.
    """
    evidence: dict[int, float] = {}
    for index in spread(source.n_frames):
        try:
            evidence[index] = polarity(_looked_at(source, index, steps))
        except (InputError, FrameError, NoLatticeError):
            continue
        if len(evidence) == TRIED:
            break
    if not evidence:
        return False
    mean = float(np.mean(list(evidence.values())))
    names = f"{source.title} {Path(source.file_of(0)).stem}"
    dark_field, annular_bright_field = _DARK_FIELD.search(names), _ANNULAR_BRIGHT_FIELD.search(names)
    said = ", ".join(f"{value:+.2f}" for value in evidence.values())
    if min(evidence.values()) <= -DOUBTFUL and max(evidence.values()) >= DOUBTFUL:
        doubt = "some frames show bright columns and others dark ones"
    elif mean <= -DOUBTFUL and dark_field and not annular_bright_field:
        doubt = f"columns look dark, which they never are in {dark_field[0]}"
    elif mean >= DOUBTFUL and annular_bright_field and not dark_field:
        doubt = f"columns look bright, which they hardly ever are in {annular_bright_field[0]}"
    elif abs(mean) < DOUBTFUL and not (dark_field and not annular_bright_field):
        doubt = "it can't be told whether columns are bright or dark"
    else:
        return mean <= -DOUBTFUL
    raise DoubtfulPolarity(
        doubt,
        source.read(next(iter(evidence))).pixels,
        where=source.file_of(0),
        value=f"evidence {said}",
        allowed=f"{DOUBTFUL:g} or more where columns are bright, {-DOUBTFUL:g} or less where they are dark",
        remedy="Look at the image, and set input.invert to true where columns are dark, to false where they are bright",
    )


def _preprocess(steps: Sequence[Step]) -> list[PreprocessParams]:
    return [step.params for step in steps if isinstance(step.params, PreprocessParams)]


def _looked_at(source: ImageSource, index: int, steps: Sequence[Step]) -> Array:
    """Return the pixels of a frame on which columns would be found."""
    frame = source.read(index)
    chain.analyse("images", [step for step in steps if step.name == PREPROCESS.name], frame)
    return pixels_of(frame).for_finding
