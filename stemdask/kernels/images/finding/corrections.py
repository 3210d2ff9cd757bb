"""Columns that a person added, removed or moved, put right before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stemdask.kernels.arrays import Codes, Floats, Indices
from stemdask.kernels.images.crystal.lattice import fit_lattice
from stemdask.kernels.images.finding.columns import Columns

ADD, REMOVE, MOVE = range(3)
#: In units of the shortest distance of two columns: how near a place must be to the column that it means, how near two
#: columns can't be, how near to the border one can't be measured, and how near a column is to the site it belongs to.
_MEANT = 0.5
_TWIN = 0.4
_BORDER = 0.5
_AT_SITE = 0.3
#: Columns of a sublattice around a place from which its lattice there is taken.
_AROUND = 12


class CorrectionError(ValueError):
    """A correction that can't be made; the text says why.

    Parameters
    ----------
    why
        As a sentence without its full stop.
    number
        Of the correction.
    """

    def __init__(self, why: str, number: int) -> None:
        super().__init__(why)
        self.number = number


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a person corrected, in the order in which it is done."""

    action: Codes
    """(n,), ADD, REMOVE or MOVE."""
    place: Floats
    """(n, 2), px, (y, x): of the column as it stands before the correction, or of the one to add."""
    new: Floats
    """(n, 2), px, where a moved column belongs; NaN for the others."""


def correct(found: Columns, corrections: Corrections, shape: tuple[int, int]) -> Columns:
    """Add, remove and move columns.

    Parameters
    ----------
    found
        What :func:`~stemdask.kernels.images.finding.columns.find_columns` returned.
    corrections
        One after the other. A place means the column nearest to it, less than half the shortest distance away.
    shape
        Of the image, px.

    Returns
    -------
    Columns
        An added column belongs to the free site of the lattice around it that is nearest, where one is near; elsewhere
        to no sublattice (-1). A removed one leaves an empty site, whose brightness, whatever it is, is fitted still.

    Raises
    ------
    CorrectionError
        A correction means no column, adds one where one is, or one too near to the border to be measured.

    Examples
    --------
    >>> from stemdask.kernels.images.finding.columns import find_columns
    >>> from stemdask.simulate import perovskite
    >>> image = perovskite((160, 160), 14.0, seed=0)[0]
    >>> found = find_columns(image)
    >>> wrong = Corrections(np.array([REMOVE], np.int8), found.positions[:1], np.full((1, 2), np.nan))
    >>> len(found.positions) - len(correct(found, wrong, image.shape).positions)
    1
    """
    for number, (action, place, new) in enumerate(
        zip(corrections.action, corrections.place, corrections.new, strict=True)
    ):
        distances = np.hypot(*(found.positions - place).T)
        nearest = int(np.argmin(distances)) if len(distances) else -1
        if action == ADD:
            fault = _fault(found.positions, place, found.distance, shape)
        elif nearest < 0 or not distances[nearest] < _MEANT * found.distance:
            fault = "no column was found there"
        else:
            others = np.delete(found.positions, nearest, axis=0)
            fault = _fault(others, new, found.distance, shape) if action == MOVE else ""
        if fault:
            raise CorrectionError(fault, number)
        if action == ADD:
            found = _with(found, place, int(found.grain[nearest]) if nearest >= 0 else 0)
        else:
            found = _without(found, nearest) if action == REMOVE else _moved(found, nearest, new)
    if not len(found.i):
        return found
    low_i, low_j = min(0, int(found.i.min())), min(0, int(found.j.min()))
    return replace(found, i=found.i - np.int32(low_i), j=found.j - np.int32(low_j))


def _fault(positions: Floats, place: Floats, distance: float, shape: tuple[int, int]) -> str:
    """Say why there can't be a column at a place beside those at some positions; nothing where there can."""
    border = _BORDER * distance
    if not ((place >= border) & (place <= np.array(shape) - 1 - border)).all():
        return f"a column less than {border:.1f} px from the border can't be measured"
    near = np.hypot(*(positions - place).T) < _TWIN * distance
    return "there is a column already" if near.any() else ""


def _with(found: Columns, place: Floats, grain: int) -> Columns:
    sublattice, i, j = _site(found, place, grain)
    return _less_ghosts(
        replace(
            found,
            positions=np.vstack([found.positions, place]),
            sublattice=np.append(found.sublattice, np.int8(sublattice)),
            i=np.append(found.i, np.int32(i)),
            j=np.append(found.j, np.int32(j)),
            grain=np.append(found.grain, np.int8(grain)),
            interior=np.append(found.interior, True),
        ),
        place,
    )


def _without(found: Columns, number: int) -> Columns:
    place, sublattice, grain = found.positions[number], found.sublattice[number], found.grain[number]
    left = {
        name: np.delete(getattr(found, name), number, axis=0)
        for name in ("positions", "sublattice", "i", "j", "grain", "interior")
    }
    found = replace(found, **left)
    if sublattice < 0 or (np.hypot(*(found.positions - place).T) < _MEANT * found.distance).any():
        return found
    return replace(
        found,
        ghosts=np.vstack([found.ghosts, place]),
        ghost_sublattice=np.append(found.ghost_sublattice, sublattice),
        ghost_grain=np.append(found.ghost_grain, grain),
    )


def _moved(found: Columns, number: int, new: Floats) -> Columns:
    positions, interior = found.positions.copy(), found.interior.copy()
    positions[number], interior[number] = new, True
    return _less_ghosts(replace(found, positions=positions, interior=interior), new)


def _less_ghosts(found: Columns, place: Floats) -> Columns:
    """Leave out the empty sites that a column has now taken."""
    free = np.hypot(*(found.ghosts - place).T) >= _MEANT * found.distance
    of_ghosts = {name: getattr(found, name)[free] for name in ("ghosts", "ghost_sublattice", "ghost_grain")}
    return replace(found, **of_ghosts)


def _site(found: Columns, place: Floats, grain: int) -> tuple[int, int, int]:
    """Return the sublattice and the indices of the free site at a place; -1 and those of the cell where none is."""
    best, cell = (_AT_SITE * found.distance, -1, 0, 0), (0, 0)
    for sublattice in np.unique(found.sublattice[(found.grain == grain) & (found.sublattice >= 0)])[::-1]:
        of = np.flatnonzero((found.sublattice == sublattice) & (found.grain == grain))
        around = of[_nearest(found.positions[of], place)]
        lattice = fit_lattice(found.positions[around], found.i[around], found.j[around])
        if not np.isfinite(lattice.a).all():
            continue
        indices = (place - lattice.origin) @ np.linalg.inv(np.stack([lattice.a, lattice.b]))
        (i, j), cell = np.rint(indices).astype(int), (int(np.floor(indices[0])), int(np.floor(indices[1])))
        off = float(np.hypot(*(place - lattice.at(np.array([i]), np.array([j]))[0])))
        if off < best[0] and not ((found.i[of] == i) & (found.j[of] == j)).any():
            best = off, int(sublattice), int(i), int(j)
    return best[1:] if best[1] >= 0 else (-1, *cell)


def _nearest(positions: Floats, place: Floats) -> Indices:
    return np.argsort(np.hypot(*(positions - place).T), kind="stable")[:_AROUND]
