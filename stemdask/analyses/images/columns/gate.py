"""The gate of a frame: what was found in it must be believable as columns of a crystal, else the frame fails in words.

The limits were calibrated on real images, on multislice images and simulations whose columns are known, and on images
without a crystal; ``docs/accuracy.md`` has the curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from stemdask.errors import FrameError
from stemdask.kernels.images.finding.quality import Quality
from stemdask.model import Array, ImageFrame, Variable

#: What makes a frame fail: fewer fits that found a column; columns wider, in units of their shortest distance; more of
#: their height left over by the fit; columns further from where their neighbours expect them, in units of the distance,
#: where less than 95 % are true; heights less even, or less even where the scale may be compressed: they are alike on
#: both sides of a single centre, and the noise where the image is brightest is less than this many times that where it
#: is darkest, or this part of it, wherever they are alike.
_LEAST_USABLE = 0.5
_WIDEST = 0.6
_WORST_MISFIT = 0.2
WIDEST_SCATTER = 0.12
_LEAST_EVEN = 0.35
_UNEVEN, _ALIKE_IN_PAIRS, _COUNTED, _QUIET = 0.1, 0.75, 3.0, 0.3

#: What is said of a frame that passes; from this scatter on less than 99 % are true.
_MANY_USABLE, _MANY_CONVERGED, _GOOD_FIT, _IN_PLACE, _MANY_LEFT_OUT = 0.9, 0.8, 0.15, 0.08, 0.04
#: Shortest lattice vectors of crystals in projection are this long, nm; another length speaks of a wrong scale.
PLAUSIBLE_NM = (0.12, 3.0)

FEW, NOT_CONVERGED, MISFIT, SCALE, SCATTERED, TAILS, UNRESOLVED = 1, 2, 4, 8, 16, 32, 64
#: What each bit of the reasons says.
DOUBTS = {
    FEW: "many fits found no column",
    NOT_CONVERGED: "many fits did not converge",
    MISFIT: "the columns are not of the fitted shape",
    SCALE: "no crystal has such a lattice vector",
    SCATTERED: "more than one in a hundred may be no column",
    TAILS: "the faintest columns may be where the tails of others meet",
    UNRESOLVED: "columns may be missing or several be taken for one",
}
QUALITY_REASONS = {-1: "unknown", 0: "good"} | {
    sum(chosen): " and ".join(DOUBTS[reason] for reason in chosen)
    for count in range(1, len(DOUBTS) + 1)
    for chosen in combinations(DOUBTS, count)
}
QUALITY = Variable("frames/quality", ("frame",), "float32", "1", "part of the columns found that could be measured")
REASONS = Variable(
    "frames/quality_reasons", ("frame",), "int8", "1", "what is doubtful about the frame", flags=QUALITY_REASONS
)


def refuse(quality: Quality) -> None:
    """Let a frame fail that shows no columns of a crystal.

    Raises
    ------
    FrameError
        Says which of the properties of columns is missing.
    """
    for what, value, allowed, remedy in _faults(quality):
        raise FrameError(what, where="columns", value=value, allowed=allowed, remedy=remedy)


def _faults(quality: Quality) -> Iterator[tuple[str, str, str, str]]:
    """Yield what is wrong, its measure, what is allowed and the remedy; a measure that isn't known is no fault."""
    look = "Look at the frame; if its columns are dark, set input.invert: true"
    if quality.usable_part < _LEAST_USABLE:
        count = f"{np.count_nonzero(quality.usable)} of {len(quality.usable)}"
        yield "hardly any columns were found at the expected sites", count, f"{_LEAST_USABLE:.0%} or more", look
    if quality.width > _WIDEST:
        what = "the spots found are wider than their separation, so they can't be columns"
        yield what, f"{quality.width:.2f} of the distance", f"{_WIDEST:g} or less", look
    if quality.misfit > _WORST_MISFIT:
        what = "the image doesn't consist of columns: the fit leaves too large a residual"
        yield what, f"{quality.misfit:.0%} of the height", f"{_WORST_MISFIT:.0%} or less", look
    if quality.scatter > WIDEST_SCATTER:
        what = "the positions found form no lattice: there is no crystal, or too much noise"
        remedy = "Look at the frame; if it shows a crystal, average frames, or bin pixels"
        yield what, f"{quality.scatter:.2f} of the distance", f"{WIDEST_SCATTER:g} or less", remedy
    yield from _spots(quality)


def _spots(quality: Quality) -> Iterator[tuple[str, str, str, str]]:
    """Yield what makes columns spots of a diffraction pattern."""
    signs = [
        sign
        for sign, there in (
            # A particle may be as symmetric, but not on a scale that evens out heights: there nothing is quiet.
            (
                "those opposite each other are alike",
                quality.inversion > _ALIKE_IN_PAIRS and not quality.bright_noise > _COUNTED,
            ),
            ("noise is least where it is brightest, as on a logarithmic scale", quality.bright_noise < _QUIET),
        )
        if there
    ]
    if quality.unevenness > (_UNEVEN if signs else _LEAST_EVEN):
        what = ", and ".join(["neighbours differ in height as spots of a diffraction pattern do", *signs])
        remedy = "Look at the frame; a diffraction pattern has no columns"
        yield what, f"{quality.unevenness:.0%}", f"{_UNEVEN if signs else _LEAST_EVEN:.0%} or less", remedy


def measured(quality: Quality, a: float, b: float, frame: ImageFrame, *, tails: bool) -> Mapping[str, Array]:
    """Return the quality of a frame that passes, and what is doubtful about it.

    Parameters
    ----------
    quality
        Of its columns.
    a, b
        Lengths of the lattice vectors, nm, or px where there is no pixel size.
    frame
        The frame.
    tails
        Nothing tells that the faintest sublattices are columns.
    """
    doubts = {
        FEW: quality.usable_part < _MANY_USABLE,
        NOT_CONVERGED: quality.converged < _MANY_CONVERGED,
        MISFIT: quality.misfit > _GOOD_FIT,
        SCALE: frame.calibrated and not is_plausible(a, b),
        SCATTERED: quality.scatter > _IN_PLACE,
        TAILS: tails,
        UNRESOLVED: quality.unresolved or quality.left_out > _MANY_LEFT_OUT,
    }
    reasons = sum(reason for reason, doubt in doubts.items() if doubt)
    return {QUALITY.path: np.asarray(quality.usable_part), REASONS.path: np.asarray(reasons, np.int8)}


def is_plausible(a: float, b: float) -> bool:
    """Tell whether a crystal can have lattice vectors of these lengths in projection, nm."""
    return PLAUSIBLE_NM[0] <= min(a, b) and max(a, b) <= PLAUSIBLE_NM[1]
