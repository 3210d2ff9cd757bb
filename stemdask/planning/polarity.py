"""Whether the columns of a run are bright or dark: decided once, from a few frames and the names of their detector.

The frames are looked at behind the fence: one that does harm there has no say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.analyses import chain
from stemdask.analyses.images.stack.pixels import pixels_of
from stemdask.analyses.images.stack.preprocess import ANALYSIS as PREPROCESS
from stemdask.analyses.images.stack.preprocess import PreprocessParams
from stemdask.errors import DoubtfulPolarity, FrameError, InputError
from stemdask.kernels.images.finding.polarity import DOUBTFUL, polarity
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.model import Array, ImageFrame, Step
from stemdask.planning.looks import Looks
from stemdask.planning.trial import Trial, loaded
from stemdask.planning.tried import TRIED, spread
from stemdask.sources.images.source import ImageSource

#: Detectors as titles and file names have them. Dark field is bright at columns whatever the focus and the thickness;
#: annular bright field is dark there unless one of them inverts it, and bright field may be either.
_DARK_FIELD = re.compile(r"(?<![a-z])[hml]?a?adf(?![a-z])", re.IGNORECASE)
_ANNULAR_BRIGHT_FIELD = re.compile(r"(?<![a-z])abf(?![a-z])", re.IGNORECASE)


def written(steps: Sequence[Step]) -> bool | None:
    """Return what the config says of the contrast under `preprocess`; None where it leaves that open."""
    return next((p.invert for p in _preprocess(steps) if "invert" in p.model_fields_set), None)


def inverted(steps: Sequence[Step], invert: bool) -> tuple[Step, ...]:
    """Return the steps such that `preprocess`, which comes first, inverts the contrast or doesn't."""
    params = next(iter(_preprocess(steps)), None)
    if params is None and not invert:
        return tuple(steps)
    first = Step(PREPROCESS.name, (params or PreprocessParams()).model_copy(update={"invert": invert}))
    return first, *(step for step in steps if step.name != PREPROCESS.name)


def columns_are_dark(source: ImageSource, steps: Sequence[Step], looked: Looks, seconds: float, memory: int) -> bool:
    """Tell whether the columns of images are dark, by frames that show a lattice; without one they are taken as bright.

    Parameters
    ----------
    source
        The images.
    steps
        Of the run: their `preprocess` comes before.
    looked
        Looks at the frames.
    seconds, memory
        What a frame may take.

    Raises
    ------
    DoubtfulPolarity
        The frames don't tell, contradict each other, or contradict the detector that they are named after.
    """
    first = [step for step in steps if step.name == PREPROCESS.name]
    return looked.once("columns are dark", source, first, lambda: _look(source, first, seconds, memory))


def _look(source: ImageSource, first: Sequence[Step], seconds: float, memory: int) -> bool:
    with Trial(source, first, seconds=seconds, memory=memory) as trial:
        told: dict[int, float] = {}
        for index in spread(source.n_frames):
            try:
                evidence, _ = trial.ask(f"{__name__}:evidence", {"index": index})
            except (InputError, FrameError):
                continue
            if evidence is not None:
                told[index] = evidence
            if len(told) == TRIED:
                break
        doubt = _doubt(list(told.values()), f"{source.title} {Path(source.file_of(0)).stem}")
        if not doubt:
            return bool(told) and float(np.mean(list(told.values()))) <= -DOUBTFUL
        _, arrays = trial.ask(f"{__name__}:pixels", {"index": next(iter(told))})
        raise DoubtfulPolarity(
            doubt,
            np.array(arrays["pixels"]),
            where=source.file_of(0),
            value="evidence " + ", ".join(f"{value:+.2f}" for value in told.values()),
            allowed=f"{DOUBTFUL:g} or more where columns are bright, {-DOUBTFUL:g} or less where they are dark",
            remedy="Look at the image, and set input.invert to true where columns are dark, "
            "to false where they are bright",
        )


def evidence(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[float | None, dict[str, Array]]:
    """Return the evidence of one frame, behind the fence; None where it shows no lattice."""
    frame = _read(given["index"])
    chain.analyse("images", loaded().steps, frame)
    try:
        return polarity(pixels_of(frame).for_finding), {}
    except NoLatticeError:
        return None, {}


def pixels(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[None, dict[str, Array]]:
    """Return the pixels of one frame, from behind the fence."""
    return None, {"pixels": _read(given["index"]).pixels}


def _read(index: int) -> ImageFrame:
    frame = loaded().source.read(index)
    assert isinstance(frame, ImageFrame)
    return frame


def _doubt(told: Sequence[float], names: str) -> str:
    """Say what is doubtful about the evidence of frames of such names; nothing where there is none."""
    if not told:
        return ""
    mean, dark_field, annular_bright_field = (
        np.mean(told),
        _DARK_FIELD.search(names),
        _ANNULAR_BRIGHT_FIELD.search(names),
    )
    if min(told) <= -DOUBTFUL and max(told) >= DOUBTFUL:
        return "some frames show bright columns and others dark ones"
    if mean <= -DOUBTFUL and dark_field and not annular_bright_field:
        return f"columns look dark, which they never are in {dark_field[0]}"
    if mean >= DOUBTFUL and annular_bright_field and not dark_field:
        return f"columns look bright, which they hardly ever are in {annular_bright_field[0]}"
    if abs(mean) < DOUBTFUL and not (dark_field and not annular_bright_field):
        return "it is unclear whether columns are bright or dark"
    return ""


def _preprocess(steps: Sequence[Step]) -> list[PreprocessParams]:
    return [step.params for step in steps if isinstance(step.params, PreprocessParams)]
