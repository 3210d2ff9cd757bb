"""Which candidate is taken. Scatter and residual alone decide nothing: known truth and invariance do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stemdask.tuning.scores import Score

#: A candidate must be better by this part; in χ² it may be worse by as much, in errors by nothing.
MARGIN = 0.05
#: Part of the columns or bonds of the config that a candidate must find.
_FINDS = 0.98
#: Scores that differ by less than this part of them are the same.
_SAME = 1e-3


def choose(scores: Sequence[Score]) -> int:
    """Return which score is taken; the first is the config as it is, which stays unless another is clearly better.

    Of those that are no worse in errors and χ², move with a crop by no more than it is wrong, and find as much, the one
    with the smallest errors and shift, as the root of their squares; the config where that isn't smaller by the margin.
    """
    first = scores[0]
    able = [number for number, score in enumerate(scores) if not score.failure]
    if not able:
        return 0
    if first.failure:
        return min(able, key=lambda number: merit(scores[number]))
    better = [number for number in able if not objection(scores[number], first)]
    best = min(better, key=lambda number: merit(scores[number]), default=0)
    return best if merit(scores[best]) < (1.0 - MARGIN) * merit(first) else 0


def merit(score: Score) -> float:
    """Return the root of the squares of errors and shift; infinite where an error isn't known."""
    errors = _errors(score)
    if not errors or not np.isfinite(errors).all():
        return float("inf")
    return float(np.linalg.norm([*errors, np.nan_to_num(score.values.get("shift", 0.0))]))


def objection(score: Score, first: Score) -> str:
    """Say what speaks against a candidate, beside the config as it is; nothing where it could be taken."""
    if score.failure:
        return score.failure
    if score is not first and _is_same(score, first):
        return "changes nothing"
    found = score.values.get("columns", np.nan) / first.values.get("columns", np.nan)
    if found < _FINDS:
        return f"finds {100 * found:.0f} % of the columns"
    for name in score.values:
        if name.startswith("error") and score.values[name] > first.values.get(name, np.inf):
            return "is further from a known truth"
        if name.startswith("error") and np.isnan(score.values[name]) and np.isfinite(first.values.get(name, np.nan)):
            return "does not find what was drawn"
    # A wrong shape may stay where it is: what is below the error of the config is no reason to keep it.
    most = max(first.values.get("shift", np.nan), min(_errors(first), default=0.0))
    if score.values.get("shift", np.nan) > (1.0 + MARGIN) * most:
        return "moves more with a crop"
    if score.values.get("chi2", np.nan) > (1.0 + MARGIN) * first.values.get("chi2", np.nan):
        return "explains the image less"
    return ""


def _is_same(one: Score, other: Score) -> bool:
    """Tell whether two candidates have the same scores, as two names of one choice do."""
    ours, theirs = ([values.get(name, np.nan) for name in one.values] for values in (one.values, other.values))
    return bool(ours) and bool(np.allclose(ours, theirs, rtol=_SAME, atol=0.0, equal_nan=True))


def _errors(score: Score) -> list[float]:
    return [value for name, value in score.values.items() if name.startswith("error")]
