"""Whether the columns of an image are bright on dark or dark on bright, from the image alone.

A crystal shows columns, which are narrow, on a background of gaps, which are wide. The mean cell is free of noise, and
two things in it tell columns from gaps:

* **Skewness**: less than half of the cell is column, so that what the columns are deviates further from the mean.
  It errs where columns of equal height surround a large gap, as in graphene and in a kagome net that are hardly
  resolved: the gaps of these make a lattice of narrow spots.
* **The better model**: a sum of positive columns of one elliptic Gaussian shape describes the cell in the right
  contrast, and in the wrong one only with more columns, or not at all. Where one harmonic is all that is resolved, both
  are described, and it tells nothing.

The two are added; where columns can't be told from gaps by either, the sum is near zero. Neither knows of a contrast
that the optics turned round, as in coherent images (bright field, annular bright field) of thin or defocused crystals.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft, optimize

from stemdask.kernels.arrays import Array, Floats
from stemdask.kernels.images.finding.anchors import find_anchors
from stemdask.kernels.images.finding.columns import best_vectors, standardise
from stemdask.kernels.images.finding.motif import Motif, find_motif, mean_cell, room
from stemdask.kernels.images.finding.peaks import smooth
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.kernels.images.finding.sites import predict_sites

#: Evidence below this, of either sign, decides nothing.
DOUBTFUL = 0.3
#: Weight of the ratio of the misfits beside the skewness, and what each further column must better it by.
_WEIGHT = 0.7
_PER_COLUMN = 0.1
#: No column is a Gaussian, so that misfits below this part of the contrast are alike.
_LEAST_MISFIT = 0.03
#: Largest side in px of what is looked at first: the middle of the image.
_SIDE = 512
#: Contrast of the mean cell in units of its error that is needed to tell anything.
_LEAST_SIGNAL = 2.0
#: Part of the signal of the clearer cell that the other needs to have a say.
_AS_CLEAR = 0.7
#: Smoothing of what is averaged, in units of the scale of a cell; samples along each vector, for a cell of its scale.
_SMOOTHING = 0.07
_SAMPLES = (12, 24)
#: Harmonics to which columns are fitted, for a cell of its scale; limits of their width in units of that.
_HARMONICS = 5
_WIDTHS = (0.08, 0.4)
#: Where both contrasts show so many columns that they ask for a scale below this, cells are looked at anew, by the
#: finer scale beside it.
_MANY, _FINELY = 0.9, 0.4


class _Cell(NamedTuple):
    mean: Floats
    """(na, nb), contrast as in the image."""
    error: float
    a: Floats
    b: Floats
    scale: float
    """Length at which its columns are looked for, over the shorter vector: below 1 where they are many."""
    motifs: tuple[Motif, Motif]
    """Of bright columns and of dark ones."""

    @property
    def signal(self) -> float:
        return float(self.mean.std()) / self.error


def polarity(image: Array) -> float:
    """Tell bright columns from dark ones.

    The mean cell is taken along the maxima of the image and along its minima. Where both are clear, what is returned is
    what the less decided says, and 0 where they contradict each other.

    Parameters
    ----------
    image
        (ny, nx), any real type; NaN where a pixel is missing.

    Returns
    -------
    The evidence: positive where columns are bright, negative where they are dark; below `DOUBTFUL` nothing is decided.

    Raises
    ------
    NoLatticeError
        If there is no lattice in the image, or only a trace of one.

    Examples
    --------
    >>> from stemdask.simulate import perovskite
    >>> image = perovskite((160, 160), 14.0, seed=0)[0]
    >>> polarity(image) > 0, polarity(-image) > 0
    (True, False)
    """
    top, left = (max(0, (side - _SIDE) // 2) for side in image.shape)
    middle = image[top : top + _SIDE, left : left + _SIDE]
    try:
        cells = _mean_cells(middle)
    except NoLatticeError:
        if middle.shape == image.shape:
            raise
        middle = image
        cells = _mean_cells(middle)
    if max(map(_room, cells)) < _MANY:
        cells = _mean_cells(middle, _FINELY)
    clearest = max(cell.signal for cell in cells)
    said = [_evidence(cell) for cell in cells if cell.signal >= _AS_CLEAR * clearest]
    return min(said, key=abs) if min(said) > 0 or max(said) < 0 else 0.0


def _evidence(cell: _Cell) -> float:
    skewness = float(np.mean((cell.mean / cell.mean.std()) ** 3))
    (bright, n_bright), (dark, n_dark) = (_misfit(cell, sign) for sign in (1, -1))
    return skewness + _WEIGHT * (float(np.log(dark / bright)) + _PER_COLUMN * (n_dark - n_bright))


def _room(cell: _Cell) -> float:
    """Return the length at which the columns of a cell are to be looked for, in units of its shorter vector."""
    fewest = min(len(motif.fractions) for motif in cell.motifs)
    return room(fewest, cell.a, cell.b) / float(min(np.hypot(*cell.a), np.hypot(*cell.b)))


def _mean_cells(image: Array, scale: float = 1.0) -> list[_Cell]:
    """Return the mean cells along the maxima of the image and along its minima, those that stand out of their noise."""
    pixels, free = standardise(image)
    vectors = best_vectors(pixels, free)
    smoothed = smooth(pixels, _SMOOTHING * scale * vectors.separation)
    most = round(_SAMPLES[1] / scale)
    cells = []
    for sign in (1, -1):
        try:
            anchors = find_anchors(sign * pixels, free, vectors)
        except NoLatticeError:
            continue
        # Where its neighbours expect an anchor: its own place follows the noise, which then looks like a column.
        grid, _ = predict_sites(anchors.grid, anchors.a, anchors.b, np.zeros(2), True)
        na, nb = (int(np.clip(round(float(np.hypot(*v))), _SAMPLES[0], most)) for v in (anchors.a, anchors.b))
        mean, error = mean_cell(smoothed, grid, (na, nb))
        if error > 0:
            mean -= mean.mean()
            bright, dark = (find_motif(contrast * mean, error, anchors.a, anchors.b) for contrast in (1, -1))
            cells.append(_Cell(mean, error, anchors.a, anchors.b, scale, (bright, dark)))
    cells = [cell for cell in cells if cell.signal >= _LEAST_SIGNAL]
    if not cells:
        raise NoLatticeError("no lattice: its cells have nothing in common")
    return cells


def _misfit(cell: _Cell, sign: int) -> tuple[float, int]:
    """Return what columns of one contrast leave of the cell, in units of its contrast, and their number."""
    mean, motif = sign * cell.mean, cell.motifs[0 if sign > 0 else 1]
    if len(motif.fractions) == 0:
        return 1.0, 0
    frequencies = [fft.fftfreq(n, 1.0 / n) for n in mean.shape]
    orders = np.stack(np.meshgrid(*frequencies, indexing="ij"), axis=-1).reshape(-1, 2)
    # A real image has one half of its harmonics from the other.
    half = (orders[:, 0] > 0) | ((orders[:, 0] == 0) & (orders[:, 1] > 0))
    used = half & (np.abs(orders) <= round(_HARMONICS / cell.scale)).all(axis=1)
    orders, harmonics = orders[used], fft.fft2(mean).ravel()[used]
    data = np.concatenate([harmonics.real, harmonics.imag]) / np.linalg.norm(harmonics)
    waves = np.exp(-2j * np.pi * orders @ motif.fractions.T)
    waves = np.concatenate([waves.real, waves.imag])
    reciprocal = orders @ np.linalg.inv(np.stack([cell.a, cell.b])).T
    short = cell.scale * float(min(np.hypot(*cell.a), np.hypot(*cell.b)))
    width = float(np.clip(motif.width, _WIDTHS[0] * short, _WIDTHS[1] * short))

    def left(shape: Floats) -> Floats:
        stretch = width * np.array([[np.exp(shape[0]), 0.0], [shape[2], np.exp(shape[1])]])
        fall = np.exp(-2.0 * np.pi**2 * ((reciprocal @ stretch) ** 2).sum(axis=1))
        columns = np.tile(fall, 2)[:, None] * waves
        heights, _ = optimize.nnls(columns, data)
        return np.asarray(columns @ heights - data)

    fit = optimize.least_squares(left, np.zeros(3), bounds=([-1, -1, -0.7], [1, 1, 0.7]), xtol=1e-2, ftol=1e-3)
    return float(np.hypot(np.linalg.norm(fit.fun), _LEAST_MISFIT)), len(motif.fractions)
