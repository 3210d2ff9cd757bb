"""The displacement vectors that are divided into domains, and samples of them that don't depend on their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemdask.analyses.images.maps.displacement_maps import MapBlock, MapStack
from stemdask.kernels.arrays import Booleans
from stemdask.model import Array, Stack

#: Cells to which domains are fitted where neighbours have no say, and where they have: whole frames of so many cells.
SAMPLE_CELLS = 4000
NEIGHBOURING_CELLS = 4000


@dataclass(frozen=True, slots=True)
class CellBlock:
    """Vectors of a block of frames on the grid."""

    frames: slice
    maps: MapBlock
    vectors: Array
    """(frame, row, column, 2), pm; NaN where there is no cell."""
    errors: Array
    """(frame, row, column, 2), pm."""
    significant: Booleans
    """(frame, row, column), the vector differs from zero."""


@dataclass(frozen=True, slots=True)
class CellSample:
    """Cells drawn from the whole stack."""

    points: Array
    """(n, 2), pm."""
    noise: Array
    """(n, 2), standard errors, pm."""
    significant: Booleans
    """(n,)"""


class DomainCells:
    """Reads the vectors to divide, with the neighbours' share and their significance."""

    def __init__(self, stack: Stack, group: str, neighbourhood: float, significance: float) -> None:
        self.maps = MapStack(stack, group)
        self._weight = neighbourhood
        self._limit = float(-2 * np.log(1 - significance))  # of chi-squared with two degrees of freedom

    def blocks(self) -> Iterator[CellBlock]:
        """Read block after block."""
        for frames, maps in self.maps.blocks():
            values, noise = maps.values, np.where(np.isfinite(maps.noise), maps.noise, np.nan)
            if self._weight:
                values, noise = _with_neighbours(values, noise, self._weight)
            vectors, errors = np.moveaxis(values, 1, -1), np.moveaxis(noise, 1, -1)
            known = np.isfinite(errors)
            errors = np.where(known, errors, float(np.median(errors[known])) if known.any() else 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = np.sum((vectors / errors) ** 2, axis=-1)
            yield CellBlock(frames, maps, vectors, errors, distance > self._limit)

    def sample(self, most: int = SAMPLE_CELLS) -> CellSample:
        """Draw cells by a hash of their vectors: the same ones in whatever order and blocks the frames come."""
        total = max(int(self.maps.n_cells.sum()), 1)
        limit = np.uint64(min(most / total, 1.0) * float(2**63))
        points, noise, significant = [np.empty((0, 2))], [np.empty((0, 2))], [np.empty(0, dtype=bool)]
        for block in self.blocks():
            there = np.isfinite(block.vectors).all(axis=-1)
            vectors = block.vectors[there]
            drawn = _hash(vectors) <= limit
            points.append(vectors[drawn])
            noise.append(block.errors[there][drawn])
            significant.append(block.significant[there][drawn])
        return CellSample(np.concatenate(points), np.concatenate(noise), np.concatenate(significant))

    def whole_frames(self, most: int = NEIGHBOURING_CELLS) -> tuple[Array, Array]:
        """Draw frames, at least one, by a hash of their vectors: vectors and errors, (frame, row, column, 2), pm."""
        wanted = max(int(most / max(self.cells_per_frame, 1.0)), 1)
        drawn: list[tuple[int, Array, Array]] = []
        for block in self.blocks():
            for vectors, errors in zip(block.vectors, block.errors, strict=True):
                there = np.isfinite(vectors).all(axis=-1)
                if there.any():
                    drawn.append((int(_hash(vectors[there]).min()), vectors, errors))
            drawn = sorted(drawn, key=lambda frame: frame[0])[:wanted]
        empty = np.empty((0, *self.maps.shape, 2))
        return np.stack([f[1] for f in drawn]) if drawn else empty, np.stack([f[2] for f in drawn]) if drawn else empty

    def mean(self) -> tuple[Array, Array]:
        """Average the frames, each vector by its error: vectors and errors, (1, row, column, 2), pm."""
        total, weight = np.zeros((*self.maps.shape, 2)), np.zeros((*self.maps.shape, 2))
        for block in self.blocks():
            weights = np.where(np.isfinite(block.vectors), 1 / np.maximum(block.errors, 1e-12) ** 2, 0.0)
            total += np.sum(weights * np.nan_to_num(block.vectors), axis=0)
            weight += weights.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (total / weight)[None], (1 / np.sqrt(weight))[None]

    @property
    def cells_per_frame(self) -> float:
        """Mean number of cells of the frames that have any."""
        held = self.maps.n_cells[self.maps.n_cells > 0]
        return float(held.mean()) if held.size else 0.0


def _hash(vectors: Array) -> NDArray[np.uint64]:
    """Mix the bits of u and v to a number evenly spread over 0 ... 2⁶³ - 1 (finaliser of MurmurHash3, Appleby 2008)."""
    # float32 is what the store keeps: the sample is the same from memory and from disk.
    bits = np.ascontiguousarray(vectors.astype(np.float32)).view(np.uint32).astype(np.uint64)
    mixed = (bits[:, 0] << np.uint64(32)) | bits[:, 1]
    for factor in (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)):
        mixed ^= mixed >> np.uint64(33)
        mixed *= factor
    mixed ^= mixed >> np.uint64(33)
    return mixed >> np.uint64(1)


def _with_neighbours(values: Array, noise: Array, weight: float) -> tuple[Array, Array]:
    """Average each cell with its four neighbours, (frame, 2, row, column), as far as they are there."""
    total, variance = np.where(np.isfinite(values), values, 0.0), np.where(np.isfinite(noise), noise, 0.0) ** 2
    there = np.isfinite(values).astype(float)
    share = there.copy()
    sums, errors = total.copy(), variance.copy()
    for axis in (2, 3):
        for step in (1, -1):
            taken = [slice(None)] * 4
            given = [slice(None)] * 4
            taken[axis], given[axis] = (
                (slice(1, None), slice(None, -1)) if step > 0 else (slice(None, -1), slice(1, None))
            )
            sums[tuple(taken)] += weight * total[tuple(given)]
            errors[tuple(taken)] += weight**2 * variance[tuple(given)]
            share[tuple(taken)] += weight * there[tuple(given)]
    share = np.where(there > 0, share, np.nan)
    return sums / share, np.sqrt(errors) / share
