"""Which parameters of which columns a joint fit may change: not those of columns outside, of twins, of blind ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import Booleans, Codes, Floats, Indices
from stemdask.kernels.images.fitting.column_fit import AT_BORDER, NO_SIGNAL

#: Relative standard deviation of the amplitude of a column beyond the border about those next to it.
_GHOST_SPREAD = 0.2
#: A column of which less is visible counts as lying outside.
_LEAST_VISIBLE = 0.25
#: Columns nearer to each other than this many of their widths are one column.
_TWIN_DISTANCE = 0.7


@dataclass
class Constraints:
    """What holds the columns of a joint fit.

    Attributes
    ----------
    inside
        (n,), centres in the image, among pixels that count.
    dropped
        (n,), twins of other columns.
    held
        (n,), sites that may be empty: of their columns only the amplitude is fitted, and it may be negative.
    free
        (n, P), parameters that are fitted.
    spacing
        (n,), px, distance to the next column; infinite for one alone.
    limit
        (n,), px, how far a column may go from its start.
    flag
        (n,), int8.
    ghosts, beside
        Columns that aren't inside, and for each of them three of its sublattice that are.
    expected, expected_weight
        For each ghost the amplitude to expect, and the weight 1/variance of that.
    """

    inside: Booleans
    dropped: Booleans
    held: Booleans
    free: Booleans
    spacing: Floats
    limit: Floats
    flag: Codes
    ghosts: Indices
    beside: Indices
    expected: Floats = field(init=False)
    expected_weight: Floats = field(init=False)

    @classmethod
    def from_columns(
        cls,
        positions: Floats,
        width: Floats,
        visible: Floats,
        sublattice: Indices,
        rank: Indices,
        shape: tuple[int, int],
        n_parameters: int,
        held: Booleans,
    ) -> Constraints:
        """Find the constraints of columns.

        Parameters
        ----------
        positions, width
            (n, 2) and (n,), px.
        visible
            (n,), part of each column's Gaussian that lies on pixels that count.
        sublattice
            (n,).
        rank
            (n,); of two columns in one place the one of the lower rank is kept.
        shape
            Of the image.
        n_parameters
            P, 3 or 6.
        held
            (n,), columns of which only the amplitude may change.
        """
        n = len(positions)
        within = np.all((positions > -0.5) & (positions < np.array(shape) - 0.5), axis=1)
        inside = within & (visible > _LEAST_VISIBLE)
        free = np.ones((n, n_parameters), dtype=bool)
        free[~inside | held, 1:] = False
        flag = np.zeros(n, dtype=np.int8)
        to_edge = np.minimum(positions + 0.5, np.array(shape) - 0.5 - positions).min(axis=1, initial=np.inf)
        flag[to_edge < width] = AT_BORDER
        flag[within & ~inside] = NO_SIGNAL
        dropped = np.zeros(n, dtype=bool)
        spacing = np.full(n, np.inf)
        ghosts, beside = np.flatnonzero(~inside), np.zeros((0, 0), dtype=np.intp)
        if n > 1:
            tree = cKDTree(positions)
            for a, b in _twins(tree, width, rank):
                if not dropped[a]:
                    dropped[b], flag[b], free[b] = True, NO_SIGNAL, False
            kept = np.flatnonzero(~dropped)
            if len(kept) > 1:
                spacing[kept] = cKDTree(positions[kept]).query(positions[kept], k=2)[0][:, 1]
            beside = _beside(positions, sublattice, ghosts, np.flatnonzero(inside & ~dropped & ~held))
        limit = np.minimum(1.5 * width, np.maximum(0.6 * spacing, 0.5 * width))
        return cls(inside, dropped, held & inside, free, spacing, limit, flag, ghosts, beside)

    def expect_amplitudes(self, amplitude: Floats) -> None:
        """Expect of the ghosts the amplitudes (n,) of the columns beside them."""
        self.expected = amplitude[self.beside].mean(axis=1) if self.beside.size else amplitude[self.ghosts]
        self.expected_weight = np.zeros(len(self.ghosts))
        if self.beside.size:
            self.expected_weight = 1.0 / np.maximum(_GHOST_SPREAD * self.expected, 1e-12) ** 2

    def penalty(self, amplitude: Floats) -> float:
        """Return what the ghosts' amplitudes add to chi²."""
        return float(np.sum(self.expected_weight * (amplitude[self.ghosts] - self.expected) ** 2))

    def give_up(self, columns: Booleans, flag: int) -> None:
        """Hold all parameters of columns (n,)."""
        self.flag[columns] = flag
        self.free[columns] = False


def _twins(tree: cKDTree, width: Floats, rank: Indices) -> list[tuple[int, int]]:
    """Return pairs of columns that are one, the one to keep first; in the order of the other one's rank."""
    pairs = tree.query_pairs(_TWIN_DISTANCE * float(width.max()), output_type="ndarray")
    twins = []
    for a, b in pairs:
        keep, drop = (int(a), int(b)) if rank[a] < rank[b] else (int(b), int(a))
        if np.hypot(*(tree.data[a] - tree.data[b])) < _TWIN_DISTANCE * min(width[a], width[b]):
            twins.append((keep, drop))
    return sorted(twins, key=lambda twin: (rank[twin[1]], rank[twin[0]]))


def _beside(positions: Floats, sublattice: Indices, ghosts: Indices, real: Indices) -> Indices:
    """Return for each ghost three columns next to it, of its own sublattice if there are any: (ghosts, 3)."""
    beside = np.zeros((len(ghosts), 3 if len(real) else 0), dtype=np.intp)
    if not len(ghosts) or not len(real):
        return beside
    for s in np.unique(sublattice[ghosts]):
        same, mine = real[sublattice[real] == s], sublattice[ghosts] == s
        pool = same if len(same) else real
        _, index = cKDTree(positions[pool]).query(positions[ghosts[mine]], k=[1, 2, 3])
        index = np.where(index < len(pool), index, index[:, :1])
        beside[mine] = pool[index]
    return beside
