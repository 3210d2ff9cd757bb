"""How much the distances between atoms fluctuate: the Lindemann index, frame after frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Floats, Integers
from stemdask.kernels.compiled import kernel


@dataclass(slots=True)
class DistanceFluctuation:
    """Mean and variance of the distances of pairs of atoms, frame after frame; from these the Lindemann index."""

    i: Integers
    """(pairs,), track of the one atom."""
    j: Integers
    """(pairs,), track of the other."""
    _n_tracks: int = field(init=False)
    _count: Integers = field(init=False)
    _mean: Floats = field(init=False)
    _scatter: Floats = field(init=False)

    def __post_init__(self) -> None:
        self._n_tracks = int(max(self.i.max(initial=-1), self.j.max(initial=-1))) + 1
        self._count = np.zeros(len(self.i), np.int64)
        self._mean, self._scatter = np.zeros(len(self.i)), np.zeros(len(self.i))

    @classmethod
    def of_pairs_within(cls, positions: Floats, track: Integers, r: float) -> DistanceFluctuation:
        """Follow the pairs of tracked atoms (n, 3) that are at most `r` apart; all pairs for an infinite `r`."""
        tracked = track >= 0
        if np.isinf(r):
            a, b = np.triu_indices(int(tracked.sum()), 1)
        else:
            a, b = cKDTree(positions[tracked]).query_pairs(r, output_type="ndarray").T
        return cls(track[tracked][a], track[tracked][b])

    def add(self, positions: Floats, track: Integers) -> None:
        """Take a frame in: positions (n, 3) in any orientation, with the track of each atom, -1 for none."""
        place = np.full(self._n_tracks, -1)
        tracked = np.flatnonzero((track >= 0) & (track < self._n_tracks))
        place[track[tracked]] = tracked
        _accumulate(self.i, self.j, place, np.ascontiguousarray(positions), self._count, self._mean, self._scatter)

    def indices(self, n_tracks: int) -> tuple[float, Floats]:
        """Return the Lindemann index of the particle, and that of each track (n_tracks,) over its own pairs.

        The mean over pairs of the standard deviation of their distance by its mean; NaN for an atom with no pair that
        was seen twice.
        """
        used = self._count > 1
        i, j = self.i[used], self.j[used]
        relative = np.sqrt(self._scatter[used] / self._count[used]) / self._mean[used]
        counts = np.bincount(i, minlength=n_tracks) + np.bincount(j, minlength=n_tracks)
        sums = np.bincount(i, relative, n_tracks) + np.bincount(j, relative, n_tracks)
        each = np.divide(sums, counts, out=np.full(n_tracks, np.nan), where=counts > 0)
        return (float(relative.mean()) if len(relative) else np.nan), each


@kernel
def _accumulate(
    i: Integers,
    j: Integers,
    place: Integers,
    positions: Floats,
    count: Integers,
    mean: Floats,
    scatter: Floats,
) -> None:
    for pair in range(len(i)):
        a, b = place[i[pair]], place[j[pair]]
        if a < 0 or b < 0:
            continue
        x = positions[a, 0] - positions[b, 0]
        y = positions[a, 1] - positions[b, 1]
        z = positions[a, 2] - positions[b, 2]
        distance = np.sqrt(x * x + y * y + z * z)
        count[pair] += 1
        step = distance - mean[pair]
        mean[pair] += step / count[pair]
        scatter[pair] += step * (distance - mean[pair])
