"""Which frames a page shows, where it can't show all: the typical one, the worst, the ends, and where things change."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.report.verdicts import Verdicts

#: Frames that are shown, where nobody says which.
MOST = 8
#: A step between two frames is a change where it is so many times as large as steps usually are.
_STEP = 6.0


def choose(verdicts: Verdicts, most: int = MOST) -> Mapping[int, str]:
    """Return frames that have results, in their order, and why each was chosen; the typical one is among them.

    Frames are compared by their numbers, each over its scatter (median absolute deviation). Typical is the good frame
    nearest to the median of all; worst a doubtful one, or the one furthest from the median. A change lies between two
    frames whose surroundings differ more than those of others do.

    Parameters
    ----------
    verdicts
        Of the run.
    most
        Frames that are chosen at most.
    """
    usable = [verdict for verdict in verdicts.frames if verdict.level in ("good", "doubtful")]
    if not usable:
        return {}
    index = np.array([verdict.frame for verdict in usable])
    numbers = _scaled(np.array([verdict.numbers[:-1] for verdict in usable]).reshape(len(usable), -1))
    far = np.sqrt((numbers**2).sum(axis=1))
    doubtful = np.array([verdict.level == "doubtful" for verdict in usable])
    chosen = {int(index[np.argmin(np.where(doubtful & ~doubtful.all(), np.inf, far))]): "typical"}
    by_badness = np.lexsort((-far, ~doubtful))
    candidates = [(int(by_badness[0]), "doubtful" if doubtful[by_badness[0]] else "least typical")]
    candidates += [(0, "first"), (len(usable) - 1, "last")]
    candidates += [(int(k), "where it changes") for after in _changes(numbers) for k in (after - 1, after)]
    candidates += [(int(k), "in between") for k in np.linspace(0, len(usable) - 1, most).round()]
    for place, why in candidates:
        if len(chosen) < most:
            chosen.setdefault(int(index[place]), why)
    return dict(sorted(chosen.items()))


def typical_of(chosen: Mapping[int, str]) -> int:
    """Return the typical one of the frames chosen."""
    return next(frame for frame, why in chosen.items() if why == "typical")


def _scaled(numbers: Floats) -> Floats:
    """Return numbers (frame, number) about their median, over their scatter; what isn't known is at the median."""
    with np.errstate(invalid="ignore"):
        known = np.isfinite(numbers).any(axis=0)
    about = numbers[:, known] - np.nanmedian(numbers[:, known], axis=0)
    scatter = np.nanmedian(np.abs(about), axis=0)
    scaled: Floats = np.nan_to_num(about / np.where(scatter > 0, scatter, np.inf))
    return scaled


def _changes(numbers: Floats) -> list[int]:
    """Return the frames with which something new begins, the greatest change first."""
    n = len(numbers)
    width = max(2, n // 12)
    if n < 2 * width + 2:
        return []
    sums = np.cumsum(np.vstack([np.zeros(numbers.shape[1]), numbers]), axis=0)
    at = np.arange(width, n - width + 1)
    means = (sums[at + width] - 2 * sums[at] + sums[at - width]) / width
    step = np.sqrt((means**2).sum(axis=1))
    found: list[int] = []
    for place in np.argsort(-step, kind="stable"):
        if step[place] <= _STEP * np.median(step) or len(found) == MOST:
            break
        if all(abs(at[place] - other) >= width for other in found):
            found.append(int(at[place]))
    return found
