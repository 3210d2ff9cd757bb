"""PCA of small patches of a displacement map: denoises a single frame from its own neighbourhoods.

After Muresan & Parks 2003 and Deledalle, Salmon & Dalalyan 2011: all overlapping patches are projected onto their
leading components, and each cell takes the mean of the patches that hold it. Away from the edge this is one linear
filter, which gives the errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.ndimage import convolve, gaussian_filter

from stemdask.kernels.arrays import Floats

#: Side of a patch, cells.
SIDE = 5
#: Most components tried.
MOST = 16


@dataclass(frozen=True, slots=True)
class PatchPCA:
    """Components of patches of (u, v)."""

    mean: Floats
    """(2,), mean u and v."""
    components: Floats
    """(k, 2 · side²), orthonormal."""
    side: int
    n_cells: int = 0
    """Cells that the mean is taken over."""

    def apply(self, fields: Floats) -> Floats:
        """Denoise fields (frame, 2, row, column); missing cells are filled from their neighbours first."""
        if self.side < 2 or fields.size == 0:
            return np.broadcast_to(self.mean[:, None, None], fields.shape).copy()
        missing = np.isnan(fields)
        centred = _filled(fields - self.mean[:, None, None])
        for _ in range(3 if missing.any() else 1):
            smooth = self._smooth(centred)
            centred = np.where(missing, smooth, centred)
        return smooth + self.mean[:, None, None]

    def errors(self, noise: Floats) -> Floats:
        """Return the standard errors of the denoised fields; `noise` (frame, 2, row, column), NaN where missing.

        The filter is taken as fitted, the mean as known to the noise of its cells. Towards the edge of the grid fewer
        patches hold a cell, and its error grows.
        """
        if self.side < 2 or noise.size == 0:
            return np.zeros_like(noise)
        typical = float(np.nanmedian(noise)) if np.isfinite(noise).any() else 0.0
        variance = np.where(np.isfinite(noise), noise, typical) ** 2
        whole = range(self.side)
        kernel = self._filter(whole, whole) ** 2
        total = np.zeros_like(variance)
        for out in range(2):
            for given in range(2):
                total[:, out] += convolve(variance[:, given], kernel[out, given][None], mode="nearest")
        total *= self._edge(noise.shape[2:], kernel.sum(axis=(1, 2, 3)))
        total += variance.mean(axis=(0, 2, 3), keepdims=True) / max(self.n_cells, 1)
        errors: Floats = np.sqrt(total)
        return errors

    def _edge(self, shape: tuple[int, ...], inside: Floats) -> Floats:
        """Noise² that passes at each place of the grid over that which passes inside, (2, row, column)."""
        gain = np.empty((2, *shape))
        held = [[_holding(place, n, self.side) for place in range(n)] for n in shape]
        for down in set(held[0]):
            for right in set(held[1]):
                passed = np.sum(self._filter(down, right) ** 2, axis=(1, 2, 3)) / np.maximum(inside, 1e-300)
                here = np.ix_([h == down for h in held[0]], [h == right for h in held[1]])
                for out in range(2):
                    gain[out][here] = passed[out]
        return gain

    def _smooth(self, centred: Floats) -> Floats:
        total, count = np.zeros_like(centred), np.zeros(centred.shape[2:])
        patches = _patches(centred, self.side)
        projected = (patches @ self.components.T) @ self.components
        n, rows, columns = patches.shape[:3]
        projected = projected.reshape(n, rows, columns, 2, self.side, self.side)
        for dy in range(self.side):
            for dx in range(self.side):
                total[:, :, dy : dy + rows, dx : dx + columns] += projected[..., dy, dx].transpose(0, 3, 1, 2)
                count[dy : dy + rows, dx : dx + columns] += 1
        smooth: Floats = total / count
        return smooth

    def _filter(self, down: range, right: range) -> Floats:
        """Weights of the filter at a cell that patches hold at these places, (2 out, 2 in, 2 side - 1, 2 side - 1)."""
        s = self.side
        projector = (self.components.T @ self.components).reshape(2, s, s, 2, s, s)
        kernel = np.zeros((2, 2, 2 * s - 1, 2 * s - 1))
        for dy in down:
            for dx in right:
                at = projector[:, dy, dx]
                kernel[:, :, s - 1 - dy : 2 * s - 1 - dy, s - 1 - dx : 2 * s - 1 - dx] += at
        return kernel / (len(down) * len(right))


def fit(fields: Floats, noise: Floats, rank: int | None = None, side: int = SIDE) -> PatchPCA:
    """Fit the components of the patches of fields.

    Parameters
    ----------
    fields
        (frame, 2, row, column), pm; NaN is missing.
    noise
        Standard errors, same shape; their median is the noise that `rank` None reckons with.
    rank
        Number of components; None takes the number of least risk (Stein 1981; the filter lets through
        rank / (2 · side²) of the noise, and the components themselves are fitted to it).
    side
        Side of a patch, cells; less on a smaller grid.
    """
    side = min(side, *fields.shape[2:])
    present = np.isfinite(fields)
    mean = np.array([fields[:, k][present[:, k]].mean() if present[:, k].any() else 0.0 for k in range(2)])
    width = 2 * side * side
    if side < 2 or not present.any():
        return PatchPCA(mean, np.zeros((0, width)), side)
    centred = _filled(fields - mean[:, None, None])
    patches = _patches(centred, side).reshape(-1, width)
    values, vectors = eigh(patches.T @ patches / len(patches))
    values, vectors = values[::-1], vectors[:, ::-1]
    if rank is None:
        known = noise[np.isfinite(noise) & present]
        sigma = float(np.median(known)) if known.size else float(np.sqrt(values[width // 2 :].mean()))
        rank = _least_risk(mean, vectors, side, fields, sigma)
    return PatchPCA(mean, np.ascontiguousarray(vectors[:, :rank].T), side, int(present[:, 0].sum()))


def _least_risk(mean: Floats, vectors: Floats, side: int, fields: Floats, sigma: float) -> int:
    """Return the number of components of least risk; the first rise of it ends the search after some more."""
    present = np.isfinite(fields)
    n, width = present.sum(), len(vectors)
    risks: list[float] = []
    for rank in range(min(width, MOST) + 1):
        smooth = PatchPCA(mean, np.ascontiguousarray(vectors[:, :rank].T), side).apply(fields)
        passed = rank / width + rank * (width - rank) / n
        risks.append(float(np.mean((smooth - fields)[present] ** 2)) + 2 * sigma**2 * passed)
        if rank - int(np.argmin(risks)) >= 4:
            break
    return int(np.argmin(risks))


def _holding(place: int, n: int, side: int) -> range:
    """Places within a patch at which the patches on a grid of n hold one of its rows."""
    return range(max(0, place - (n - side)), min(side - 1, place) + 1)


def _patches(fields: Floats, side: int) -> Floats:
    """All overlapping patches, (frame, row, column, 2 · side²)."""
    view = np.lib.stride_tricks.sliding_window_view(fields, (side, side), axis=(2, 3))
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(len(fields), view.shape[2], view.shape[3], -1)


def _filled(centred: Floats) -> Floats:
    """Fill missing cells with a local mean of those present; zero (the global mean) where none is near."""
    missing = np.isnan(centred)
    if not missing.any():
        return centred
    sigma = (0, 0, 1.5, 1.5)
    total = gaussian_filter(np.where(missing, 0.0, centred), sigma, mode="constant")
    weight = gaussian_filter((~missing).astype(float), sigma, mode="constant")
    local = np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), 0.0)
    return np.where(missing, local, centred)
