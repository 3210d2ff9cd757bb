"""The periodic box of a structure, also where a file gives no vector along a direction that doesn't repeat."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats

Periodic = tuple[bool, bool, bool]
#: Empty space [angstrom] along a direction in which nothing repeats.
_VACUUM = 10.0


def whole_box(cell: Floats | None, periodic: Periodic, positions: Floats) -> tuple[Floats | None, Periodic]:
    """Return a box with a volume, and the directions in which it repeats.

    A layer or a tube comes with one or two vectors alone; the others, zero in the file, stand upright on these and
    are as long as the structure and some vacuum. There is no box where no vector repeats, or two lie along each other.

    Parameters
    ----------
    cell
        (3, 3), rows are the cell vectors; None without.
    periodic
        As the file says it.
    positions
        (n, 3).
    """
    none: Periodic = (False, False, False)
    if cell is None or not np.isfinite(cell).all():
        return None, none
    given = np.any(cell, axis=1)
    repeats: Periodic = (bool(given[0] and periodic[0]), bool(given[1] and periodic[1]), bool(given[2] and periodic[2]))
    if not given.all():
        if not any(repeats):
            return None, none
        upright = np.linalg.svd(cell[given])[2][given.sum() :]
        extent = np.ptp(positions @ upright.T, axis=0) if len(positions) else np.zeros(len(upright))
        cell = cell.copy()
        cell[~given] = upright * (extent + _VACUUM)[:, None]
    return (cell, repeats) if abs(np.linalg.det(cell)) > 0 else (None, none)
