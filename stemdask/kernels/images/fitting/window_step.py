"""The step of a fit of one column: its damped normal equations solved, and held where it would go too far."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.cholesky import factorise, invert
from stemdask.kernels.images.fitting.window_equations import SIZE

_LEAST_PIVOT = 1e-13


@kernel
def solve(matrix: Floats, vector: Floats, damping: float, circular: bool, inverse: Floats, step: Floats) -> bool:
    """Solve the normal equations of one column.

    Parameters
    ----------
    matrix, vector
        (SIZE, SIZE) and (SIZE,), Fisher matrix and score.
    damping
        Part by which the diagonal is raised.
    circular
        A round column: its Qyy and Qxx are one and its Qyx is 0.
    inverse, step
        (SIZE, SIZE) and (SIZE,); written.

    Returns
    -------
    bool
        Whether the matrix is positive definite; if not, the step is not written.
    """
    n = SIZE
    right = np.empty(SIZE)
    for i in range(n):
        right[i] = vector[i]
        for j in range(n):
            inverse[i, j] = matrix[i, j]
    if circular:
        right[3] += right[5]
        for j in range(n):
            inverse[3, j] += inverse[5, j]
        for j in range(n):
            inverse[j, 3] += inverse[j, 5]
        for fixed in (4, 5):
            right[fixed] = 0.0
            for j in range(n):
                inverse[fixed, j] = 0.0
                inverse[j, fixed] = 0.0
            inverse[fixed, fixed] = 1.0
    for i in range(n):
        inverse[i, i] *= 1.0 + damping
    if not factorise(inverse, _LEAST_PIVOT):
        return False
    invert(inverse)
    for i in range(n):
        step[i] = 0.0
        for j in range(n):
            step[i] += inverse[i, j] * right[j]
    if circular:
        step[4], step[5] = 0.0, step[3]
        inverse[4, 4], inverse[5, 5] = 0.0, inverse[3, 3]
    return True


@kernel
def limit(step: Floats, at: Floats, sigma: float) -> None:
    """Hold a step to half a width in position, a factor of five in amplitude and a third in width."""
    length = np.hypot(step[1], step[2])
    if length > 0.5 * sigma:
        step[1] *= 0.5 * sigma / length
        step[2] *= 0.5 * sigma / length
    step[0] = max(step[0], -0.8 * at[0])
    half = np.hypot(0.5 * (at[3] - at[5]), at[4])
    smaller = 0.5 * (at[3] + at[5]) - half
    size = np.abs(0.5 * (step[3] + step[5])) + np.hypot(0.5 * (step[3] - step[5]), step[4])
    if size > 0.33 * smaller:
        for j in range(3, 6):
            step[j] *= 0.33 * smaller / size
