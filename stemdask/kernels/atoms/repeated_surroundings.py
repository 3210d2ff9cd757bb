"""Which atoms have surroundings that are found again at other atoms, as in a crystal of whatever structure.

Templates know some ten structures. What makes any other a crystal is that it repeats: the same neighbours stand in the
same directions around further atoms of the element, which never happens in a liquid or a glass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemdask.kernels.arrays import Booleans, Floats, Integers, Integers32
from stemdask.kernels.atoms.neighbour_rules import nearest
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.compiled import kernel

#: Atoms are compared by their neighbours up to a multiple of the usual distance of the 14th, and by as many at least.
_SHELL, _REACH, _FEWEST = 14, 1.25, 6
#: Largest distance of one neighbour from its place, and root mean square of all, in units of the distance of nearest
#: atoms in a close-packed crystal as dense, on which chance depends: bonds of calcite are half as long. Noise of 0.1
#: angstrom along each axis makes 0.35 angstrom, as four coordinates take part.
_ANY, _RMS = 0.5, 0.22
#: The usual distance of the 14th neighbour there.
_DENSE = 2**0.5
#: Atoms around one among which its surroundings are looked for, and at how many of its element they must be found. A
#: cell of a clathrate has 46.
_CANDIDATES, _FOUND = 1000, 3
#: So many atoms, evenly chosen, are looked at first: where none of them is in a crystal no other is, as in a melt, in
#: which each atom is compared with all others around it to no end. A crystal of 1 % of the atoms is seen by 99 in 100.
_SAMPLE = 500
#: By what the neighbours of another atom may lie farther than those that are compared with them.
_BEYOND = 1.25


def repeats(
    positions: Floats,
    numbers: NDArray[np.uint8],
    asked: Booleans,
    cell: ArrayLike | None = None,
    periodic: ArrayLike = True,
) -> Booleans:
    """Tell of which atoms the surroundings are found again, unrotated, at three others of their element.

    Parameters
    ----------
    positions, numbers
        (n, 3) and (n,), atomic numbers.
    asked
        (n,), the atoms of which it is to be told.
    cell, periodic
        The periodic box, as in `find_neighbours`; images of an atom count as others.

    Returns
    -------
    Booleans
        (n,), False for all that aren't asked for.

    Examples
    --------
    >>> from ase import Atoms
    >>> places = [[0, 0, 0], [0, 0.5, 0.25], [0.5, 0.5, 0.5], [0.5, 0, 0.75]]
    >>> tin = Atoms("Sn4", scaled_positions=places, cell=[5.83, 5.83, 3.18], pbc=True).repeat(3)  # no template
    >>> repeats(tin.positions, tin.numbers.astype(np.uint8), np.ones(108, bool), tin.cell[:]).all()
    True
    """
    found = np.zeros(len(numbers), bool)
    shell = nearest(positions, _SHELL, cell, periodic)
    if not asked.any() or not len(shell.point):
        return found
    begin = shell.first[:-1][shell.counts > 0]
    shell_radius = float(np.median(np.maximum.reduceat(shell.distance, begin)))
    near = shell_radius / _DENSE
    reach = _REACH * shell_radius
    around = find_neighbours(positions, _BEYOND * reach, cell, periodic)
    others = find_neighbours(positions, shell_radius * (_CANDIDATES / _SHELL) ** (1 / 3), cell, periodic)

    def look(at: Booleans) -> None:
        _repeats(
            (others.first, others.other),
            (around.first, around.point, around.points),
            numbers[around.owners],
            at,
            (reach * reach, (_ANY * near) ** 2, (_RMS * near) ** 2),
            found,
        )

    some = np.zeros(len(asked), bool)
    those = np.flatnonzero(asked)
    some[those[np.linspace(0, len(those) - 1, min(_SAMPLE, len(those))).astype(np.intp)]] = True
    look(some)
    if found.any():
        look(asked & ~some)
    return found


@kernel
def _repeats(
    others: tuple[Integers, Integers32],
    around: tuple[Integers, Integers32, Floats],
    number: NDArray[np.uint8],
    asked: Booleans,
    squares: tuple[float, float, float],
    found: Booleans,
) -> None:
    """Write which surroundings are found again; `squares` of the reach, the farthest place and the mean distance."""
    reach, farthest, mean = squares
    (first_other, other), (first, point, points) = others, around
    for i in range(len(asked)):
        if not asked[i]:
            continue
        times = 0
        for e in range(first_other[i], first_other[i + 1]):
            j = other[e]
            if number[j] != number[i]:
                continue
            compared, total = 0, 0.0
            for a in point[first[i] : first[i + 1]]:
                x, y, z = points[a, 0] - points[i, 0], points[a, 1] - points[i, 1], points[a, 2] - points[i, 2]
                if x * x + y * y + z * z > reach:
                    continue
                least = farthest
                for b in point[first[j] : first[j + 1]]:
                    dx = points[b, 0] - points[j, 0] - x
                    dy = points[b, 1] - points[j, 1] - y
                    dz = points[b, 2] - points[j, 2] - z
                    squared = dx * dx + dy * dy + dz * dz
                    if squared < least and number[b] == number[a]:
                        least = squared
                if least == farthest:
                    compared = 0
                    break
                compared += 1
                total += least
            if compared >= _FEWEST and total <= mean * compared:
                times += 1
                if times == _FOUND:
                    found[i] = True
                    break
