"""The lattice vectors of an image from its autocorrelation, before any column is found.

The autocorrelation of an image of a crystal has a peak at every difference of two columns. Peaks at lattice vectors
are the highest of all, since there every column falls on its like; peaks between unlike columns are lower. So the
shortest vectors among the full peaks span the cell. Repeating them predicts all the other full peaks, and how well
that prediction holds is the confidence: about 1 for a crystal, about 0 for noise and for an amorphous film.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from stemdask.kernels.arrays import Floats, Image
from stemdask.kernels.images.finding.peaks import local_maxima

#: Standard deviations in px by which the autocorrelation is smoothed; a lattice is trusted where several agree.
_SCALES = (0.6, 0.9, 1.4, 2.0, 3.0, 4.5)
#: A lattice that is as clear as this is looked for at no coarser resolution.
_CLEAR = 0.8
_TILE = 1024
_MAX_LAG = 256
_FULL = 0.87
_REPEATS = 3
_FEWEST_POINTS = 8
_DIP = 0.85
#: Autocorrelation at which an image repeats; that of noise reaches 0.3.
_REPEATING = 0.5
#: By so much a lattice of longer vectors has to be clearer.
_MORE = 0.1
#: Shortest lattice vector that can be told from the pixel grid.
SHORTEST = 3.5


class NoLatticeError(ValueError):
    """The image shows no lattice, or none of the separation asked for; the text says what was seen."""


class TooFewCellsError(NoLatticeError):
    """What repeats does so too seldom for a lattice to be told from chance."""

    @classmethod
    def of(cls, a: Floats, b: Floats, shape: tuple[float, ...]) -> TooFewCellsError:
        """Return what is said of vectors (2,), px, in an image of a shape in px."""
        far, farther = (float(np.hypot(*vector)) for vector in (a, b))
        ny, nx = (round(side) for side in shape)
        return cls(
            f"no lattice: what repeats after {far:.0f} and {farther:.0f} px does so too seldom in {ny} × {nx} px"
        )


@dataclass(frozen=True, slots=True)
class LatticeVectors:
    """Two shortest lattice vectors as seen in the autocorrelation."""

    a: Floats
    """(2,), px, (y, x)."""
    b: Floats
    confidence: float
    """0 to 1: how well repeating a and b predicts the autocorrelation."""

    @property
    def separation(self) -> float:
        """Length of the shorter vector in px."""
        return float(min(np.hypot(*self.a), np.hypot(*self.b)))


def estimate_lattice(
    image: Image, separation: tuple[float, float] | None = None, *, min_confidence: float = 0.25
) -> LatticeVectors:
    """Find the two shortest lattice vectors of an image.

    Parameters
    ----------
    image
        (ny, nx); a NaN counts as missing.
    separation
        Allowed range in px of the shorter vector; None for any.
    min_confidence
        Below it there is no lattice.

    Raises
    ------
    NoLatticeError
        If no pair of vectors predicts the autocorrelation; TooFewCellsError if there is a pair, and too small an image.

    Examples
    --------
    >>> from stemdask.simulate import perovskite
    >>> found = estimate_lattice(perovskite((160, 160), 14.0, seed=0)[0].astype(np.float32))
    >>> float(np.hypot(*found.a).round(1))
    14.0
    """
    best: LatticeVectors | None = None
    refusal = None
    pixel = 1.0
    while True:
        allowed = None if separation is None else (separation[0] / pixel, separation[1] / pixel)
        try:
            found = _estimate(image, allowed, min_confidence, pixel)
        except NoLatticeError as error:
            refusal = error if refusal is None or isinstance(error, TooFewCellsError) else refusal
        else:
            if best is None or found.confidence > best.confidence + _MORE:
                best = LatticeVectors(pixel * found.a, pixel * found.b, found.confidence)
        if (best is not None and best.confidence >= _CLEAR) or 0.6 * min(image.shape) <= _MAX_LAG:
            break
        # A cell of more than some hundred pixels repeats beyond the longest lag: it is looked for in coarser pixels.
        image, pixel = _binned(image), 2.0 * pixel
    if best is None:
        raise refusal or NoLatticeError("no lattice")
    return best


def scored_lattices(image: Image, separation: tuple[float, float]) -> list[LatticeVectors]:
    """Return the lattices that repeat with a separation within a range, the shortest first.

    Parameters
    ----------
    image
        (ny, nx); a NaN counts as missing.
    separation
        Range in px of the shorter vector.

    Returns
    -------
    Their confidence is NaN where they repeat too seldom to be judged.
    """
    power, window_y, window_x, max_lag = _mean_power(image)
    found: list[LatticeVectors] = []
    for scale in _SCALES:
        lags = _autocorrelation(power, window_y, window_x, max_lag, scale)
        found += _pairs(lags, max_lag, max(SHORTEST, 2.0 * scale), separation)
    kept: list[LatticeVectors] = []
    for one in sorted(found, key=lambda pair: -np.nan_to_num(pair.confidence)):
        if not any(_alike(one, other) for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda pair: (pair.separation, np.hypot(*pair.b)))


def _alike(one: LatticeVectors, other: LatticeVectors) -> bool:
    """Tell whether two pairs of vectors are those of one lattice, but for a tenth of their lengths."""
    ours, theirs = (np.sort([np.hypot(*pair.a), np.hypot(*pair.b)]) for pair in (one, other))
    return bool(np.allclose(ours, theirs, rtol=0.1))


def _other_vectors() -> Floats:
    """Return the coefficients (n, 2) of lattice vectors of one half plane that are neither of the two, nor shorter."""
    n, m = np.mgrid[-_REPEATS : _REPEATS + 1, 0 : _REPEATS + 1].reshape(2, -1)
    other = ((m > 0) | (n > 0)) & (np.abs(n) + np.abs(m) > 1)
    return np.asarray(np.stack([n, m], axis=1)[other], dtype=np.float64)


_OTHERS = _other_vectors()
#: Directions (48, 2) over half of a circle.
_CIRCLE = np.stack([np.sin(np.arange(48) * (np.pi / 48)), np.cos(np.arange(48) * (np.pi / 48))], axis=1)


def _binned(image: Image) -> Image:
    """Return means of 2 × 2 px, of those that aren't missing."""
    ny, nx = image.shape[0] // 2, image.shape[1] // 2
    fours = image[: 2 * ny, : 2 * nx].reshape(ny, 2, nx, 2)
    seen = np.isfinite(fours)
    count = seen.sum(axis=(1, 3))
    total = np.where(seen, fours, 0.0).sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _estimate(
    image: Image, separation: tuple[float, float] | None, min_confidence: float, pixel: float
) -> LatticeVectors:
    """Find the vectors at one resolution; `pixel` is its unit in px of the image."""
    power, window_y, window_x, max_lag = _mean_power(image)
    found = []
    for scale in _SCALES:
        lags = _autocorrelation(power, window_y, window_x, max_lag, scale)
        guess = _shortest_pair(lags, max_lag, max(SHORTEST, 2.0 * scale), separation)
        if guess is not None:
            found.append(guess)
    if not found:
        raise NoLatticeError(
            "the autocorrelation has no two repeating vectors"
            + ("" if separation is None else f" with a separation of {separation[0]:.3g} to {separation[1]:.3g} px")
        )
    areas = np.array([abs(_cross(guess.a, guess.b)) for guess in found])
    confidences = np.nan_to_num([guess.confidence for guess in found])
    # The plateau: the lattice on which most scales agree, each by its confidence. One scale alone is chance.
    alike = np.abs(areas[:, None] / areas - 1.0) < 0.1
    agree = alike & (confidences > 0)
    plateau = agree[int(np.argmax(agree @ confidences))]
    best = found[int(np.argmax(np.where(plateau, confidences, -1.0)))]
    confidence = best.confidence if plateau.sum() > 1 else 0.0
    unknown = alike & np.isnan([guess.confidence for guess in found])
    if confidence < min_confidence and unknown.sum(axis=1).max() > len(_SCALES) // 2:
        seldom = found[int(np.argmax(unknown.sum(axis=1)))]
        raise TooFewCellsError.of(pixel * seldom.a, pixel * seldom.b, tuple(pixel * side for side in image.shape))
    if confidence < min_confidence:
        raise NoLatticeError(
            f"no lattice: the best two vectors predict the autocorrelation with a confidence of {confidence:.2f} "
            f"where {min_confidence:.2f} is needed"
        )
    return best


def reduce_vectors(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the two shortest vectors of the same lattice (Lagrange-Gauss reduction)."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    while True:
        if a @ a > b @ b:
            a, b = b, a
        steps = round(float(a @ b) / float(a @ a))
        if steps == 0 or (b - steps * a) @ (b - steps * a) >= (b @ b) * (1.0 - 1e-9):
            return a, b
        b = b - steps * a


def _mean_power(
    image: Image,
) -> tuple[Image, Floats, Floats, int]:
    """Power spectrum averaged over tiles, the autocorrelations of its window along y and x, and the longest lag."""
    ny, nx = image.shape
    ty, tx = min(ny, _TILE), min(nx, _TILE)
    max_lag = min(_MAX_LAG, int(0.6 * min(ty, tx)))
    shape = (fft.next_fast_len(ty + max_lag, real=True), fft.next_fast_len(tx + max_lag, real=True))
    window_y, window_x = np.sin(np.pi * (np.arange(ty) + 0.5) / ty), np.sin(np.pi * (np.arange(tx) + 0.5) / tx)
    starts_y = sorted({round(f * (ny - ty)) for f in (0.0, 0.5, 1.0)}) if ny > 1.3 * ty else [(ny - ty) // 2]
    starts_x = sorted({round(f * (nx - tx)) for f in (0.0, 0.5, 1.0)}) if nx > 1.3 * tx else [(nx - tx) // 2]
    corners = [(y, x) for n, y in enumerate(starts_y) for m, x in enumerate(starts_x) if (n + m) % 2 == 0]
    power = np.zeros((shape[0], shape[1] // 2 + 1), np.float32)
    window = np.outer(window_y, window_x).astype(np.float32)
    for y, x in corners:
        tile = image[y : y + ty, x : x + tx]
        tile = tile - np.float32(np.nanmean(tile)) if np.isfinite(tile).any() else np.zeros_like(tile)
        spectrum = fft.rfft2(np.nan_to_num(tile) * window, s=shape)
        power += spectrum.real**2 + spectrum.imag**2
    return power, _self_overlap(window_y, max_lag), _self_overlap(window_x, max_lag), max_lag


def _self_overlap(window: Floats, max_lag: int) -> Floats:
    full = np.correlate(window, window, mode="full")
    middle = len(window) - 1
    lags: Floats = full[middle - max_lag : middle + max_lag + 1] / full[middle]
    return lags


def _autocorrelation(
    power: Image,
    window_y: Floats,
    window_x: Floats,
    max_lag: int,
    scale: float,
) -> Image:
    """Autocorrelation for lags of -max_lag .. max_lag, of the image band-passed from `scale` to 40 px."""
    ny = power.shape[0]
    nx = 2 * (power.shape[1] - 1)
    # What falls with the square of the frequency is a product of what does along y and along x.
    y2, x2 = (-((np.pi * fft.fftfreq(ny)) ** 2))[:, None], -((np.pi * fft.rfftfreq(nx)) ** 2)
    kept = (np.exp(4.0 * scale**2 * along) for along in (y2, x2))
    slow = (np.exp(2.0 * 40.0**2 * along) for along in (y2, x2))
    band = math.prod(kept) * (1.0 - math.prod(slow)) ** 2
    lags = fft.irfft2(power * band.astype(np.float32), s=(ny, nx))
    rows = np.arange(-max_lag, max_lag + 1)
    lags = lags[np.ix_(rows, rows)] / np.outer(window_y, window_x)
    peak = lags[max_lag, max_lag]
    return (lags / peak).astype(np.float32) if peak > 0 else np.zeros_like(lags, np.float32)


def _shortest_pair(
    lags: Image, max_lag: int, shortest: float, separation: tuple[float, float] | None
) -> LatticeVectors | None:
    best, clear = None, 0.0
    for pair in _pairs(lags, max_lag, shortest, separation):
        # Pairs come shortest first; a longer one must explain more, not the same.
        known = 0.0 if math.isnan(pair.confidence) else pair.confidence
        if best is None or known > clear + _MORE:
            best, clear = pair, known
    return best


def _pairs(lags: Image, max_lag: int, shortest: float, separation: tuple[float, float] | None) -> list[LatticeVectors]:
    """Return the pairs of vectors at which the autocorrelation is high, the shortest first."""
    positions, heights = local_maxima(lags, 1)
    vectors = positions - max_lag
    lengths = np.hypot(vectors[:, 0], vectors[:, 1])
    # An autocorrelation is symmetric: half of the plane is enough. Far lags rest on few pixels.
    half = (vectors[:, 0] > 0.5) | ((np.abs(vectors[:, 0]) <= 0.5) & (vectors[:, 1] > 0))
    keep = half & (lengths >= shortest) & (lengths <= 0.9 * max_lag) & (heights > 0)
    vectors, heights, lengths = vectors[keep], heights[keep], lengths[keep]
    order = np.argsort(lengths, kind="stable")
    vectors, heights, lengths = vectors[order], heights[order], lengths[order]
    if len(vectors) < 2:
        return []
    highest_beyond = np.maximum.accumulate(heights[::-1])[::-1]
    full = np.flatnonzero(heights >= _FULL * highest_beyond)[:16]
    pairs = []
    for n, first in enumerate(full):
        for second in full[n + 1 :]:
            a, b = vectors[first], vectors[second]
            if abs(_cross(a, b)) < 0.35 * lengths[first] * lengths[second]:
                continue
            a, b = reduce_vectors(a, b)
            short = float(np.hypot(*a))
            if short >= shortest and (separation is None or separation[0] <= short <= separation[1]):
                pairs.append((a, b))
    if not pairs:
        return []
    confidences = _confidences(lags, max_lag, np.array(pairs), float(heights.max()))
    return [LatticeVectors(a, b, float(told)) for (a, b), told in zip(pairs, confidences, strict=True)]


def _confidences(lags: Image, max_lag: int, pairs: Floats, highest: float) -> Floats:
    """Lower quartile of the autocorrelation over other vectors of each lattice (n, 2, 2), in units of its highest peak.

    NaN where the lags hold too few of them, of an image that does repeat.
    """
    points = np.einsum("vp,npc->nvc", _OTHERS, pairs)
    inside = np.hypot(points[..., 0], points[..., 1]) <= 0.9 * max_lag
    heights = np.sort(np.where(inside, _sample(lags, max_lag, points), np.inf), axis=1)
    count = inside.sum(axis=1)
    # Between the two heights that are nearest to the quartile.
    at = 0.25 * np.maximum(count - 1, 0)
    low = at.astype(np.intp)
    every = np.arange(len(pairs))
    below, above = heights[every, low], heights[every, np.minimum(low + 1, np.maximum(count - 1, 0))]
    few = count < _FEWEST_POINTS
    with np.errstate(invalid="ignore"):
        told = np.clip((below + (at - low) * (above - below)) / highest, 0.0, 1.0)
    # Fringes, unlike columns, stay correlated along their own direction.
    shorter = np.hypot(pairs[..., 0], pairs[..., 1]).min(axis=1)
    fringes = _sample(lags, max_lag, 0.5 * shorter[:, None, None] * _CIRCLE).max(axis=1) > _DIP * highest
    told[fringes] = 0.0
    told[few] = np.nan if highest > _REPEATING else 0.0
    return np.asarray(told)


def _sample(lags: Image, max_lag: int, vectors: Floats) -> Floats:
    sampled: Floats = ndimage.map_coordinates(lags, np.moveaxis(vectors + max_lag, -1, 0), order=1, mode="nearest")
    return sampled


def _cross(a: Floats, b: Floats) -> float:
    return float(a[1] * b[0] - a[0] * b[1])
