"""The periodic box of a structure, also where a file gives no vector along a direction that doesn't repeat."""

from __future__ import annotations

import numpy as np

from stemdask.errors import FrameError
from stemdask.kernels.arrays import Floats
from stemdask.kernels.atoms.periodic import heights

Periodic = tuple[bool, bool, bool]
#: Empty space [angstrom] along a direction in which nothing repeats.
_VACUUM = 10.0
#: Copies of a cell among which an atom's nearest neighbours may lie: 27, or hundreds in thin layers with much vacuum.
_MOST_COPIES = 10_000


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


def check_thickness(cell: Floats, periodic: Periodic, n_atoms: int, where: str) -> None:
    """Refuse a cell so flat or so slanted that seeking neighbours in it would never end; one wrong digit does that.

    Raises
    ------
    FrameError
        Neighbours may lie in too many copies of it.
    """
    apart = heights(cell)[list(periodic)]
    reach = 1.2 * float(np.cbrt(abs(np.linalg.det(cell)) / max(n_atoms, 1)))
    with np.errstate(divide="ignore", over="ignore"):
        copies = float(np.prod(2 * np.ceil(reach / apart) + 1))
    if not copies <= _MOST_COPIES:
        raise FrameError(
            f"neighbours would have to be sought in {copies:.2g} copies of its cell",
            where=where,
            value=f"faces {' × '.join(f'{one:.2g}' for one in apart)} angstrom apart",
            allowed=f"{_MOST_COPIES} copies",
            remedy="Correct the cell, or give it by shorter vectors of the same lattice",
        )
