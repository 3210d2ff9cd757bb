"""Candidates looked at one after the other on the same frames, and checked against the same parts and twins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stemdask.analyses.evaluation import FrameResult
from stemdask.fence.fence import COMPILE_SECONDS
from stemdask.model import Array, Frame
from stemdask.planning.trial import SECONDS
from stemdask.tuning.candidates import Candidate
from stemdask.tuning.halves import Half
from stemdask.tuning.jobs import Job, run_all
from stemdask.tuning.scores import Score, median_of

#: A candidate may take as many times as long as the config as it is, and at least so many seconds per frame.
_SLOWER, _LEAST_SECONDS = 20.0, SECONDS + COMPILE_SECONDS
#: A fit explains the image better than the config's where χ² is smaller by this part: twins are drawn from it.
_EXPLAINS_MORE = 0.95
#: Fits that follow the noise explain everything.
_FOLLOWS_NOISE = ("columns.widths", "free")


@dataclass
class Sweep:
    """The frames, and what became of the candidates so far."""

    half: Half
    frames: Sequence[Frame]
    workers: int
    memory: int
    progress: Callable[[str], None]
    scores: list[Score] = field(default_factory=list)
    found: list[list[FrameResult]] = field(default_factory=list)
    """Of each score, of each frame."""
    _standards: list[Any] = field(default_factory=list)
    _seconds: float = _LEAST_SECONDS

    def look(self, candidates: Sequence[Candidate]) -> None:
        """Analyse the frames with some candidates; the first one ever is the config as it is."""
        n = len(self.frames)
        results = self._run([Job(one.steps, frame) for one in candidates for frame in self.frames], "looking")
        for k, candidate in enumerate(candidates):
            own = results[k * n : (k + 1) * n]
            failures = [result.error for result in own if not result.is_done]
            self.scores.append(Score(candidate, {}, failures[0] if failures else ""))
            self.found.append(own)
        if not self.scores[0].failure:
            taken = max(result.seconds for result in self.found[0])
            self._seconds = max(_LEAST_SECONDS, _SLOWER * taken)

    def compare(self) -> None:
        """Hold the candidates that were looked at, and not compared yet, against parts and twins of the frames.

        One that found what the config finds, to the last bit, needs no look of its own.
        """
        new = [k for k, score in enumerate(self.scores) if not score.failure and not score.values]
        if not new:
            return
        if not self._standards:
            drawn = self._explains_most()
            self._standards = [
                self.half.standards(frame, result.values)
                for frame, result in zip(self.frames, self.found[drawn], strict=True)
            ]
        others = [k for k in new if not self._is_like_first(k)]
        jobs = [
            Job(self.scores[k].candidate.steps, frame)
            for k in others
            for given in self._standards
            for frame in given.frames
        ]
        results = iter(self._run(jobs, "comparing"))
        for k in others:
            measured = [
                self.half.measured(whole, given, [next(results) for _ in given.frames])
                for whole, given in zip(self.found[k], self._standards, strict=True)
            ]
            self.scores[k] = median_of(self.scores[k].candidate, measured)
        for k in set(new) - set(others):
            self.scores[k] = Score(self.scores[k].candidate, self.scores[0].values)

    def _run(self, jobs: Sequence[Job], what: str) -> list[FrameResult]:
        count = iter(range(1, len(jobs) + 1))
        return run_all(
            jobs,
            workers=min(self.workers, max(len(jobs), 1)),
            seconds=self._seconds,
            memory=self.memory,
            done=lambda: self.progress(f"{what}: {next(count)} of {len(jobs)}"),
        )

    def _explains_most(self) -> int:
        """Return the candidate whose fit explains the frames; the config's unless another one does clearly better."""
        residual = np.array([self._chi2(k) for k in range(len(self.scores))])
        best = int(np.nanargmin(residual)) if np.isfinite(residual).any() else 0
        able = next(k for k, score in enumerate(self.scores) if not score.failure)
        clear = not np.isfinite(residual[able]) or residual[best] < _EXPLAINS_MORE * residual[able]
        return best if clear and np.isfinite(residual[best]) else able

    def _chi2(self, k: int) -> float:
        score = self.scores[k]
        if score.failure or _FOLLOWS_NOISE in score.candidate.keys.items():
            return float("nan")
        values = [result.values.get("columns/reduced_chi2", np.array([np.nan])) for result in self.found[k]]
        known = np.concatenate(values)
        return float(np.median(known[np.isfinite(known)])) if np.isfinite(known).any() else float("nan")

    def _is_like_first(self, k: int) -> bool:
        if k == 0 or self.scores[0].failure:
            return False
        return all(_same(a.values, b.values) for a, b in zip(self.found[k], self.found[0], strict=True))


def _same(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[path], b[path], equal_nan=True) for path in a)
