"""Tuning: candidates scored on a few frames, and the one that is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemdask.analyses import registry
from stemdask.analyses.evaluation import FrameResult
from stemdask.config.document import Document
from stemdask.engine.pools import cores
from stemdask.errors import ConfigError, InputError
from stemdask.model import Frame
from stemdask.planning.resolve import Resolved, resolve
from stemdask.planning.trial import Trial, allowed
from stemdask.planning.tried import TRIED, spread
from stemdask.sources.frame_range import parse_range
from stemdask.tuning import candidates, images
from stemdask.tuning.candidates import Candidate
from stemdask.tuning.choice import choose, merit, objection
from stemdask.tuning.frames import unpack
from stemdask.tuning.halves import HALVES
from stemdask.tuning.scores import Measure, Score
from stemdask.tuning.sweep import Sweep


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a sweep found."""

    document: Document
    resolved: Resolved
    scores: Sequence[Score]
    """The config as it is, each candidate, and then the best with others that were better alone."""
    chosen: int
    frames: Mapping[int, Frame]
    """Those looked at, by their number."""
    found: Sequence[Sequence[FrameResult]]
    """Of each score, what was found in each frame."""

    @property
    def keys(self) -> Mapping[str, Any]:
        """What the tuned config changes."""
        return self.scores[self.chosen].candidate.keys

    @property
    def measures(self) -> Sequence[Measure]:
        """By what candidates were compared."""
        return HALVES[self.resolved.source.kind].measures

    @property
    def objections(self) -> list[str]:
        """What speaks against each candidate, beside the config as it is."""
        return [objection(score, self.scores[0]) for score in self.scores]


def tune(
    document: Document, *, frames: str | None = None, progress: Callable[[str], None] = lambda line: None
) -> Tuned:
    """Score the config and other choices on a few frames.

    Frames are looked at one by one: what a run takes from its whole series (drift, its average) is left out.

    Parameters
    ----------
    document
        The config.
    frames
        Which frames, "first:last+1"; by default up to three of all.
    progress
        Told how far it is.

    Raises
    ------
    ConfigError
        The config isn't valid, or has nothing that can be tuned.
    InputError
        None of the frames can be read, or analysed with any choice.
    """
    resolved = resolve(document)
    kind, defaults = resolved.source.kind, registry.defaults(resolved.source)
    half = HALVES[kind]
    if half.analyses[0] not in [step.name for step in resolved.steps]:
        raise ConfigError(
            "this config has nothing that can be tuned", where=document.name, allowed=f"a run with {half.analyses[0]}"
        )

    def candidate(keys: Mapping[str, Any]) -> Candidate:
        made = candidates.of(document, kind, defaults, keys)
        return Candidate(keys, tuple(images.of_prepared(step) for step in made.steps if step.name in half.analyses))

    read = _read(resolved, frames)
    memory = allowed(resolved.config.limits)[1]
    sweep = Sweep(half, list(read.values()), cores(), memory, progress)
    first = candidate({})
    sweep.look([first])
    pairs = [*candidates.alternatives(kind, first.steps)]
    if not sweep.scores[0].failure:
        pairs += half.found_candidates(first.steps, sweep.frames[0], sweep.found[0][0].values)
    sweep.look([candidate({key: value}) for key, value in pairs])
    if all(score.failure for score in sweep.scores):
        raise InputError(
            "no frame could be analysed with any choice",
            where=resolved.config.input.path,
            value=sweep.scores[0].failure,
            remedy="Choose other frames with --frames; where single frames are too noisy, average them first",
        )
    sweep.compare()
    best = choose(sweep.scores)
    for key, value in _better_alone(sweep.scores):
        taken = sweep.scores[best].candidate.keys
        if best and key not in taken:
            sweep.look([candidate({**taken, key: value})])
            sweep.compare()
            if choose([sweep.scores[best], sweep.scores[-1]]):
                best = len(sweep.scores) - 1
    return Tuned(document, resolved, sweep.scores, best, read, sweep.found)


def _better_alone(scores: Sequence[Score]) -> list[tuple[str, Any]]:
    """Return keys and values with which the config alone is better than as it is, the best first."""
    better = [score for score in scores[1:] if choose([scores[0], score])]
    return [pair for score in sorted(better, key=merit) for pair in score.candidate.keys.items()]


def _read(resolved: Resolved, frames: str | None) -> dict[int, Frame]:
    """Return the frames that are looked at, prepared as the config says; those that can't be are left out."""
    source = resolved.source
    try:
        asked = list(range(source.n_frames)[parse_range(frames)]) if frames is not None else spread(source.n_frames)
    except ValueError as error:
        raise ConfigError(str(error), where="--frames") from None
    most = len(asked) if frames is not None else TRIED
    first = [step for step in resolved.steps if step.name == "preprocess"]
    seconds, memory = allowed(resolved.config.limits)
    found: dict[int, Frame] = {}
    failures = []
    with Trial(source, first, seconds=seconds, memory=memory) as trial:
        for index in asked:
            try:
                found[index] = unpack(*trial.ask(f"stemdask.tuning.{source.kind}:frame_of", {"index": index}))
            except InputError as error:
                failures.append(f"frame {index}: {error}")
            if len(found) == most:
                break
    if not found:
        raise InputError(
            "none of the frames can be read",
            where=resolved.config.input.path,
            value=failures[0] if failures else frames,
            allowed=f"0:{source.n_frames}",
        )
    return found
