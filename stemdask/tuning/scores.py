"""What a candidate is judged by, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stemdask.tuning.candidates import Candidate


class Measure(NamedTuple):
    """A number by which candidates are compared."""

    name: str
    title: str
    """With its unit, where it has one."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Score:
    """What became of a candidate."""

    candidate: Candidate
    values: Mapping[str, float]
    """By the name of the measure, median over the frames; NaN where it isn't known."""
    failure: str = ""
    """Why it has no results."""


def median_of(candidate: Candidate, frames: Sequence[Mapping[str, float]]) -> Score:
    """Return the score over all frames."""
    values = np.array([list(frame.values()) for frame in frames])
    known = [column[np.isfinite(column)] for column in values.T]
    medians = [float(np.median(column)) if len(column) else float("nan") for column in known]
    return Score(candidate, dict(zip(frames[0], medians, strict=True)))
