"""Frames at which a number takes another course: a series as straight pieces, as few as its noise allows.

Each piece has noise of its own, as an order parameter of a crystal hardly fluctuates and that of a melt does. Where a
series is one piece, the ratio of the evidence of all its divisions at some place to that of none is expected to be the
number of these places. So noise, whatever its variance and its correlation, has a ratio of that number over `CHANCE`
with a probability of at most `CHANCE` (Markov's inequality), and no threshold has to be simulated. By the same measure
a change of the noise alone is told from a change of the course, and a gradual change is taken where it is likelier than
all straight pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from stemdask.kernels.arrays import Booleans, Floats, Integers
from stemdask.kernels.atoms.gradual_change import GradualChange, gradual_change
from stemdask.kernels.atoms.straight_pieces import SHORTEST, StraightPieces

#: Fewest values of which a change can be told.
FEWEST = 2 * SHORTEST
#: Longer series are averaged over bins to find what changes; the places are found among the values.
MOST = 200
#: Probability that noise alone has a change.
CHANCE = 1e-3
_MOST_PIECES = 8
#: A value so many times as far from the mean of its neighbours as others are from that of theirs stands apart.
_APART = 9.0


class Course(NamedTuple):
    """A series as straight pieces."""

    place: Integers
    """(k,), number of the first value of each piece but the first."""
    error: Floats
    """(k,), standard error of that number."""
    moves: Booleans
    """(k + 1,), whether the piece rises or falls."""
    first: Floats
    """(k + 1,), value of its line at its first value; NaN where there are no values."""
    last: Floats
    """(k + 1,), value of its line at its last value."""
    fitted: Floats
    """(n,), the straight pieces; NaN where the series isn't finite."""


class Transition(NamedTuple):
    """A rise or a fall."""

    start: int
    """Number of its first value."""
    start_error: float
    """Standard error of that number; NaN where it was on its way from the beginning."""
    stop: int
    """Number of the first value after it: `start`, if it takes one step."""
    stop_error: float
    """Standard error of that number; NaN where it is on its way at the end."""
    before: float
    after: float


def course(series: Floats, least: float = 0.0) -> Course:
    """Find the straight pieces into which a series falls beyond what noise does.

    A single value that stands apart from its neighbours on both sides is no change.

    Parameters
    ----------
    series
        (n,); values that aren't finite are left out. Fewer than `FEWEST` are one level piece.
    least
        Smallest change of the course that matters, in units of the series.
    """
    finite = np.flatnonzero(np.isfinite(series))
    known = finite[~_apart(series[finite])]
    values = series[known]
    starts, errors, moves = np.zeros(1, np.int64), np.empty(0), np.zeros(1, bool)
    if len(values) >= FEWEST and np.ptp(values) > 0:
        width = -(-len(values) // MOST)
        binned = values[: len(values) // width * width].reshape(-1, width).mean(axis=1)
        starts, errors, evidence = _divided(binned, least / 10)
        gradual = gradual_change(binned, least / 10) if np.ptp(binned) > 0 else None
        if gradual and gradual.log_evidence + np.log(CHANCE) > evidence and abs(gradual.after - gradual.before) > least:
            return _of_three(gradual, known, width, finite, len(series))
        pieces = StraightPieces(values, least / 10)
        if width > 1:
            starts, errors = _among_all(pieces, starts * width, errors * width, width, len(values))
        starts, errors = _that_hold(pieces, values, starts, errors, least)
        stops = np.append(starts[1:], len(values))
        level, sloping = pieces.log_evidences(starts, stops)
        moves = sloping > level - np.log(CHANCE)
        moves &= np.array([np.ptp(_lines(values[i:j], _ONE)) >= least for i, j in zip(starts, stops, strict=True)])
    fitted = np.full(len(series), np.nan)
    if not len(values):
        nothing = np.full(1, np.nan)
        return Course(starts[1:], errors, moves, nothing, nothing, fitted)
    lines = _lines(values, starts, moves)
    fitted[finite] = np.interp(finite, known, lines)
    # The line through a bent course leaves the values at its ends.
    ends = np.clip(lines[[starts, np.append(starts[1:], len(values)) - 1]], values.min(), values.max())
    first, last = ends
    return Course(known[starts[1:]], errors, moves, first, last, fitted)


def transitions(found: Course, least: float = 0.0) -> list[Transition]:
    """Return the rises and falls of a series, each with all the pieces through which it goes.

    Parameters
    ----------
    found
        Its straight pieces. One that falls or rises from its first value to its last is a transition too.
    least
        Smallest step between two pieces that matters, in units of the series.
    """
    n, k = len(found.fitted), len(found.moves)
    places, errors = np.concatenate([[0], found.place, [n]]), np.concatenate([[np.nan], found.error, [np.nan]])
    way = np.where(found.moves, np.sign(found.last - found.first), 0)
    step = found.first[1:] - found.last[:-1]
    # A line through a bent course misses the next piece by less than it has come: that is no step back.
    come = np.abs(found.last - found.first)
    jump = np.where(np.abs(step) >= np.maximum(least, np.maximum(come[:-1], come[1:])), np.sign(step), 0)
    # Too few values to tell a level between two steps are part of one way.
    short = (way[1:-1] == 0) & (np.diff(places)[1:-1] < FEWEST) & (jump[1:] == jump[:-1])
    way[1:-1][short] = jump[1:][short]
    runs: list[tuple[int, int, float, float]] = []
    for piece in range(k):
        before = found.last[piece - 1] if piece else found.first[0]
        after = found.first[piece + 1] if piece + 1 < k else found.last[-1]
        if piece and jump[piece - 1]:
            runs.append((piece, piece, before, found.first[piece]))
        if way[piece]:
            runs.append((piece, piece + 1, before, after))
    joined: list[tuple[int, int, float, float]] = []
    for run in runs:
        same_way = joined and (run[3] - run[2]) * (joined[-1][3] - joined[-1][2]) > 0
        if same_way and joined[-1][1] == run[0]:
            joined[-1] = (joined[-1][0], run[1], joined[-1][2], run[3])
        else:
            joined.append(run)
    return [
        Transition(int(places[i]), errors[i], int(places[j]), errors[j], float(a), float(b))
        for i, j, a, b in joined
        if abs(b - a) >= least
    ]


_ONE = np.zeros(1, np.int64)


def _of_three(gradual: GradualChange, known: Integers, width: int, finite: Integers, n: int) -> Course:
    """Return a gradual change among values, averaged over bins, as a level, a way and another level."""
    middles = np.interp(np.arange(len(gradual.fitted)) * width + (width - 1) / 2, np.arange(len(known)), known)
    place = np.interp([gradual.start, gradual.stop], np.arange(len(middles)), middles)
    fitted = np.full(n, np.nan)
    fitted[finite] = np.interp(finite, middles, gradual.fitted)
    levels = np.array([gradual.before, gradual.before, gradual.after])
    return Course(
        np.round(place).astype(np.int64),
        width * np.array([gradual.start_error, gradual.stop_error]),
        np.array([False, True, False]),
        levels,
        np.array([gradual.before, gradual.after, gradual.after]),
        fitted,
    )


def _apart(values: Floats) -> Booleans:
    """Tell values that stand apart from both neighbours, which agree with each other."""
    apart = np.zeros(len(values), bool)
    if len(values) >= FEWEST:
        off = values[1:-1] - (values[:-2] + values[2:]) / 2
        alone = np.abs(off) > _APART * np.median(np.abs(off)) + 1e-3 * np.ptp(values)
        apart[1:-1] = alone & (np.abs(values[2:] - values[:-2]) < np.abs(off) / 2)
        apart[1:] &= ~apart[:-1]
    return apart


def _divided(values: Floats, resolution: float) -> tuple[Integers, Floats, float]:
    """Return where the pieces of the likeliest division begin, the errors of these places, and its evidence.

    That counts each change by the chance that noise has it.
    """
    n = len(values)
    evidence = np.full((n + 1, n + 1), -np.inf)
    start, stop = np.triu_indices(n + 1, SHORTEST)
    evidence[start, stop] = StraightPieces(values, resolution).log_evidence(start, stop)
    from_start, to_end, best, lasts = [evidence[0]], [evidence[:, n]], evidence[0], []
    for _ in range(1, min(_MOST_PIECES, n // SHORTEST)):
        from_start.append(_total(from_start[-1][:, None] + evidence))
        to_end.append(_total((evidence + to_end[-1]).T))
        through = best[:, None] + evidence
        lasts.append(through.argmax(axis=0))
        best = through.max(axis=0)
    total = np.array([found[n] for found in from_start])
    number = np.arange(len(total))
    divisions = gammaln(n + 1) - gammaln(n - number + 1) - gammaln(number + 1)
    counted = total - divisions + number * np.log(CHANCE)
    changes = int(np.argmax(counted))
    starts = np.full(changes + 2, n)
    for k in range(changes, 0, -1):
        starts[k] = lasts[k - 1][starts[k + 1]]
    starts = np.append(0, starts[1:-1])
    errors = [
        _spread(from_start[k - 1] + to_end[changes - k], np.arange(n + 1), starts[k]) for k in range(1, changes + 1)
    ]
    return starts, np.array(errors), float(counted[changes])


def _total(log: Floats) -> Floats:
    """Return the logarithm of the sum over the first axis."""
    most = np.maximum(log.max(axis=0), -1e300)
    with np.errstate(divide="ignore"):
        total: Floats = most + np.log(np.exp(log - most).sum(axis=0))
    return total


def _spread(log: Floats, places: Integers, best: int) -> float:
    """Return the standard error of a place of a number by the probabilities of all, and by its being a whole number."""
    likely = np.exp(log - log.max())
    return float(np.sqrt((likely * (places - best) ** 2).sum() / likely.sum() + 1 / 12))


def _among_all(pieces: StraightPieces, starts: Integers, errors: Floats, width: int, n: int) -> tuple[Integers, Floats]:
    """Find the places again among all values near those found among bins."""
    placed, spreads = starts.copy(), errors.copy()
    ends = np.append(starts[1:], n)
    for k in range(1, len(starts)):
        reach = 2 * width + 3 * int(errors[k - 1])
        low, high = placed[k - 1] + SHORTEST, ends[k] - SHORTEST
        near = np.arange(max(starts[k] - reach, low), min(starts[k] + reach, high) + 1)
        evidence = pieces.log_evidence(np.full_like(near, placed[k - 1]), near)
        evidence += pieces.log_evidence(near, np.full_like(near, ends[k]))
        placed[k] = near[evidence.argmax()]
        spreads[k - 1] = _spread(evidence, near, placed[k])
    return placed, spreads


def _that_hold(
    pieces: StraightPieces, values: Floats, starts: Integers, errors: Floats, least: float
) -> tuple[Integers, Floats]:
    """Leave out changes, the weakest first, that are of the noise alone or too small to matter."""
    while len(starts) > 1:
        strengths = []
        for before, place, end in zip(starts[:-1], starts[1:], np.append(starts[2:], len(values)), strict=True):
            apart = pieces.log_evidence(np.array([before, place]), np.array([place, end])).sum()
            ratio = apart - pieces.log_evidence_of_one_line(before, place, end)
            both = values[before:end]
            moved = np.ptp(_lines(both, np.array([0, place - before])) - _lines(both, _ONE))
            strengths.append(min(ratio / -np.log(CHANCE), moved / least if least > 0 else np.inf))
        weakest = int(np.argmin(strengths))
        if strengths[weakest] >= 1:
            break
        starts, errors = np.delete(starts, weakest + 1), np.delete(errors, weakest)
    return starts, errors


def _lines(values: Floats, starts: Integers, moves: Booleans | None = None) -> Floats:
    """Return the straight line through each piece, level where it doesn't move."""
    fitted = np.empty(len(values))
    for k, (begin, end) in enumerate(zip(starts, [*starts[1:], len(values)], strict=True)):
        place = np.arange(end - begin) - (end - begin - 1) / 2
        slope = values[begin:end] @ place / max(float(place @ place), 1.0) if moves is None or moves[k] else 0.0
        fitted[begin:end] = values[begin:end].mean() + slope * place
    return fitted
