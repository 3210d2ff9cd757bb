"""Size of the particle, and where in it each atom is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stemdask.kernels.atoms.hull import equivalent_diameter, hull_volume
from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable


class ShapeParams(Params):
    """The shape has no parameters."""


_FRAME = ("frame",)
HULL_VOLUME = Variable(
    "particle/hull_volume", _FRAME, "float64", "angstrom^3", "volume of the convex hull of the atoms"
)
DIAMETER = Variable(
    "particle/diameter",
    _FRAME,
    "float64",
    "angstrom",
    "diameter of a sphere as large as the convex hull",
    trend=True,
)
DISTANCE_TO_CENTER = Variable(
    "atoms/distance_to_center",
    ("frame", "atom"),
    "float64",
    "angstrom",
    "distance to the mean position",
)


def outputs(params: ShapeParams) -> tuple[Variable, ...]:
    """Declare size and distance to the centre."""
    return HULL_VOLUME, DIAMETER, DISTANCE_TO_CENTER


def run(frame: AtomsFrame, params: ShapeParams) -> Mapping[str, Array]:
    """Measure one particle; its size is NaN where the atoms span no volume."""
    volume = hull_volume(frame.positions)
    centre = frame.positions.mean(axis=0) if len(frame.positions) else np.zeros(3)
    return {
        HULL_VOLUME.path: np.array(volume),
        DIAMETER.path: np.array(equivalent_diameter(volume)),
        DISTANCE_TO_CENTER.path: np.linalg.norm(frame.positions - centre, axis=1),
    }


ANALYSIS = Analysis(
    name="shape",
    kind="atoms",
    summary="Diameter and volume of the particle by its convex hull, distance of each atom to the centre",
    params=ShapeParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.shape",
    needs=("positions",),
    run=run,
)
