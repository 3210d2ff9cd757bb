"""Labels of cells that are likely to be those of their neighbours: marginals of a Potts field by belief propagation.

The prior probability of labels l is proportional to exp(coupling × number of equal neighbours) (Potts 1952; for images
Besag 1986). The messages are those of Yedidia, Freeman & Weiss 2005.
"""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.compiled import kernel

#: Largest change of a message at which it rests, and sweeps at most.
_REST, _SWEEPS = 1e-3, 30


@kernel
def beliefs(evidence: Floats, coupling: float) -> Floats:
    """Return the probability of each label at each cell, given the evidence at all cells of its frame.

    Parameters
    ----------
    evidence
        (frame, row, column, k), likelihood of what was measured under each label, up to a factor per cell; ones where
        nothing was measured.
    coupling
        Of the four neighbours along rows and columns; 0 leaves each cell to itself.

    Returns
    -------
    (frame, row, column, k), sum 1.
    """
    n, rows, columns, k = evidence.shape
    unlike = np.exp(-coupling)
    found = np.empty(evidence.shape)
    arriving = np.empty((rows, columns, 4, k))  # from the cell above, below, before and after
    product, sent = np.empty(k), np.empty(k)
    for frame in range(n):
        arriving[:] = 1.0 / k
        for sweep in range(_SWEEPS):
            change = 0.0
            for step in range(rows * columns):
                place = step if sweep % 2 == 0 else rows * columns - 1 - step
                row, column = place // columns, place % columns
                _product(evidence[frame, row, column], arriving[row, column], product)
                for way in range(4):
                    down, right = (way == 1) - (way == 0), (way == 3) - (way == 2)
                    to_row, to_column = row + down, column + right
                    if not (0 <= to_row < rows and 0 <= to_column < columns):
                        continue
                    total = 0.0
                    for c in range(k):
                        sent[c] = product[c] / arriving[row, column, way, c]
                        total += sent[c]
                    back = way ^ 1
                    norm = 1.0 + (k - 1) * unlike
                    for c in range(k):
                        message = (unlike + (1.0 - unlike) * sent[c] / total) / norm
                        change = max(change, abs(message - arriving[to_row, to_column, back, c]))
                        arriving[to_row, to_column, back, c] = message
            if change < _REST:
                break
        for row in range(rows):
            for column in range(columns):
                _product(evidence[frame, row, column], arriving[row, column], product)
                found[frame, row, column] = product
    return found


@kernel
def _product(evidence: Floats, arriving: Floats, product: Floats) -> None:
    """Multiply the evidence at a cell by what its neighbours say, sum 1."""
    total = 0.0
    for c in range(len(product)):
        product[c] = evidence[c] * arriving[0, c] * arriving[1, c] * arriving[2, c] * arriving[3, c]
        total += product[c]
    for c in range(len(product)):
        product[c] = product[c] / total if total > 0 else 1.0 / len(product)
