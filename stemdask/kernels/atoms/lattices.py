"""Lattices as grids: where the sites of a crystal lie in its cell, and which steps lead to nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Floats, Integers32
from stemdask.kernels.atoms.kinds import BCC, CUBIC_DIAMOND, FCC, HCP, HEXAGONAL_DIAMOND, SIMPLE_CUBIC
from stemdask.kernels.atoms.templates import TEMPLATES

#: Beside the templates: a simple cubic crystal of two elements in turn, whose edge is twice as long.
ROCK_SALT = 100


class Lattice(NamedTuple):
    """A cell with right angles, of cubic crystals the cubic one, of hexagonal ones a, a √3 and c."""

    edges: Floats
    """(3,), of the ideal cell, in units of the distance of nearest neighbours."""
    divisions: Floats
    """(3,), parts of each edge; all sites lie on the grid that they make."""
    steps: Integers32
    """(m, 3), in these parts, to the nearest neighbours of any site."""
    n_bonds: int
    """Nearest neighbours of one site."""

    def places(self) -> Floats:
        """Return the steps (m, 3) in units of the distance of nearest neighbours."""
        found: Floats = self.steps / self.divisions * self.edges
        return found


def _lattice(kind: int, edges: tuple[float, float, float], divisions: tuple[int, int, int]) -> Lattice:
    template = TEMPLATES[kind]
    first = template.vectors[: template.n_first] / template.nearest
    shells = np.concatenate([first @ site.T for site in template.sites])
    steps = np.unique(np.rint(shells / edges * divisions), axis=0).astype(np.int32)
    return Lattice(np.array(edges), np.array(divisions, float), steps, template.n_first)


def _cube(edge: float) -> tuple[float, float, float]:
    return edge, edge, edge


_C = np.sqrt(8 / 3)

LATTICES = {
    FCC: _lattice(FCC, _cube(np.sqrt(2)), (2, 2, 2)),
    HCP: _lattice(HCP, (1.0, np.sqrt(3), _C), (2, 6, 2)),
    BCC: _lattice(BCC, _cube(2 / np.sqrt(3)), (2, 2, 2)),
    CUBIC_DIAMOND: _lattice(CUBIC_DIAMOND, _cube(4 / np.sqrt(3)), (4, 4, 4)),
    HEXAGONAL_DIAMOND: _lattice(HEXAGONAL_DIAMOND, (_C, np.sqrt(8), 8 / 3), (2, 6, 8)),
    SIMPLE_CUBIC: _lattice(SIMPLE_CUBIC, _cube(1.0), (1, 1, 1)),
    ROCK_SALT: _lattice(SIMPLE_CUBIC, _cube(2.0), (2, 2, 2)),
}
#: Those whose first edge is as long as the second: one number says how large they are.
CUBIC = (FCC, BCC, CUBIC_DIAMOND, SIMPLE_CUBIC, ROCK_SALT)
