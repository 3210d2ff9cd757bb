"""What became of each frame, in words: good, doubtful and why, failed and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from stemdask.figures.pixels import in_pixels
from stemdask.figures.style import quantity
from stemdask.kernels.arrays import Floats
from stemdask.model import FrameStatus, Variable
from stemdask.results import shows
from stemdask.results.views import Results

#: Frames of which a page tells in words what was found; of more, in numbers only.
TOLD = 60

#: What is counted in the table; a series has a place for each column of any of its frames.
_COUNTED = ("cell", "atom")

Level = Literal["good", "doubtful", "failed", "pending"]
_ORDER: tuple[Level, ...] = get_args(Level)
_LEVELS: dict[FrameStatus, Level] = {
    FrameStatus.PENDING: "pending",
    FrameStatus.OK: "good",
    FrameStatus.FAILED: "failed",
    FrameStatus.OVERFLOW: "failed",
    FrameStatus.EMPTY: "failed",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a frame."""

    frame: int
    level: Level
    reasons: tuple[str, ...]
    """Why it is doubtful, or has no results."""
    words: tuple[str, ...]
    """What was found in it; nothing where there are many frames."""
    file: str
    numbers: tuple[float, ...]
    """As the columns of the table say."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of the frames of a run."""

    frames: tuple[Verdict, ...]
    columns: tuple[str, ...]
    """Names of the numbers, with their units."""

    def count(self, level: Level) -> int:
        """Return how many frames there are of a level."""
        return sum(verdict.level == level for verdict in self.frames)

    @property
    def level(self) -> Level:
        """The level of the whole run: what the worst of its frames is, but for single ones among many."""
        n, good = len(self.frames), self.count("good")
        if not n or good == n:
            return "good" if n else "pending"
        if good + self.count("doubtful") == 0:
            return "failed" if self.count("failed") else "pending"
        return "doubtful"

    def sentence(self) -> str:
        """Return the whole in words."""
        n = len(self.frames)
        if n == 1:
            return "The frame failed." if self.level == "failed" else f"The frame is {self.level}."
        if self.level == "good":
            return f"All {n} frames are good."
        others = ((self.count(level), level) for level in _ORDER[1:])
        more = "".join(f", {count} {level}" for count, level in others if count)
        return f"{self.count('good')} of {n} frames are good{more}."


def judge(results: Results, told: int | None = None) -> Verdicts:
    """Return what became of each frame of a run.

    Parameters
    ----------
    results
        Of the run.
    told
        Frames up to which each is told in words, which takes a while; None for the usual number.
    """
    frames = results.whole("frames")
    status, files, errors = (frames[name].values for name in ("frame_status", "file", "error"))
    doubts = [doubt for shown in shows.of_run(results) for doubt in shown.doubts(results)]
    in_words = set(results.good().tolist()) if len(status) <= (TOLD if told is None else told) else set()
    table = _numbers(results)
    found = []
    for index, (code, file, error) in enumerate(zip(status, files, errors, strict=True)):
        level = _LEVELS[FrameStatus(int(code))]
        reasons = [str(error) or FrameStatus(int(code)).name.lower()] if level == "failed" else []
        if level == "good":
            reasons = [doubt.text for doubt in doubts if doubt.of[index]]
            level = "doubtful" if reasons else "good"
        words = tuple(words_of(results, index)) if index in in_words else ()
        numbers = tuple(float(column[index]) for column in table.values())
        found.append(Verdict(index, level, tuple(reasons), words, str(file), numbers))
    return Verdicts(tuple(found), tuple(table))


def words_of(results: Results, frame: int) -> list[str]:
    """Return what was found in a frame, in a few words of each analysis."""
    return [words for shown in shows.of_run(results) for words in shown.words(results, frame)]


def _numbers(results: Results) -> Mapping[str, Floats]:
    """Return the numbers of every frame by the name of their column: counts, quality, trends, seconds."""
    frames = results.whole("frames")
    good = frames["frame_status"].values == FrameStatus.OK
    table = {f"{dim}s": np.where(good, frames[f"n_{dim}s"].values, np.nan) for dim in _COUNTED if f"n_{dim}s" in frames}
    if "quality" in frames:
        table["measured / %"] = np.where(good, 100 * frames["quality"].values, np.nan)
    for variable in trends_of(results):
        if variable.name in (f"n_{dim}s" for dim in _COUNTED):  # counted already
            continue
        values = in_pixels(results.by_frame(variable))
        name = quantity(values.attrs["long_name"], values.attrs["units"])
        table[name] = np.asarray(values.values, dtype=float)
    return table | {"time / s": np.asarray(frames["seconds"].values, dtype=float)}


def trends_of(results: Results) -> list[Variable]:
    """Return the numbers that tell how the frames of a run change."""
    return [v for step in results.steps for v in results.declared(step.name) if v.trend and v in results]
