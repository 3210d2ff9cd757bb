"""Powder pattern and total structure factor of a particle, by the Debye sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from stemdask.errors import FrameError
from stemdask.kernels.atoms.debye import debye_intensity, structure_factor
from stemdask.kernels.atoms.form_factors import LARGEST_Q, Radiation, form_factor
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.units import Length, LengthAngstrom


class DiffractionParams(Params):
    """Powder pattern and structure factor."""

    radiation: Radiation = "xray"
    """What is scattered: X-rays or electrons."""
    q_max: Annotated[float, Field(gt=0, le=LARGEST_Q)] = 15.0
    """Largest length of the scattering vector, 4 π sin θ / λ, in 1/angstrom."""
    q_step: Annotated[float, Field(ge=0.001, le=1)] = 0.02
    """Step of q, and its first value, in 1/angstrom."""
    wavelength: LengthAngstrom = Length(1.5406, "angstrom")
    """Wavelength used to convert q to the angle 2θ; the default is Cu Kα1."""


_Q = ("frame", "q")
Q = Variable("diffraction/q", ("q",), "float64", "1/angstrom", "length of the scattering vector", stage="prepare")
TWO_THETA = Variable(
    "diffraction/two_theta", ("q",), "float64", "degree", "scattering angle; NaN beyond 180 degrees", stage="prepare"
)
INTENSITY = {
    "xray": Variable("diffraction/intensity", _Q, "float64", "1", "scattered intensity per atom, in squared electrons"),
    "electron": Variable("diffraction/intensity", _Q, "float64", "angstrom^2", "scattered intensity per atom"),
}
STRUCTURE_FACTOR = Variable("diffraction/structure_factor", _Q, "float64", "1", "total structure factor S(q)")


def outputs(params: DiffractionParams) -> tuple[Variable, ...]:
    """Declare the pattern and the structure factor."""
    return Q, TWO_THETA, INTENSITY[params.radiation], STRUCTURE_FACTOR


def prepare(frames: Sequence[Frame], params: DiffractionParams) -> Mapping[str, Array]:
    """Choose the scattering vectors."""
    q = params.q_step * np.arange(1, int(params.q_max / params.q_step + 1e-9) + 1)
    sine = q * params.wavelength.angstrom() / (4 * np.pi)
    angle = np.degrees(2 * np.arcsin(np.where(sine <= 1, sine, np.nan)))
    return {Q.path: q, TWO_THETA.path: angle}


def run(frame: AtomsFrame, params: DiffractionParams) -> Mapping[str, Array]:
    """Sum over all pairs of one frame; NaN without atoms, and in a periodic box, of which there is no such sum.

    Raises
    ------
    FrameError
        An element has no tabulated form factor, or the atoms are too far apart.
    """
    q = frame[Q]
    there = np.isfinite(frame.positions).all(axis=1)
    intensity = factor = np.full(len(q), np.nan)
    if there.any() and not any(frame.periodic):
        elements, species = np.unique(frame.numbers[there], return_inverse=True)
        try:
            form_factors = np.array([form_factor(number, q, params.radiation) for number in elements])
            total = debye_intensity(frame.positions[there], species, form_factors, q)
        except ValueError as error:
            raise FrameError(str(error), remedy="Leave out the analysis diffraction") from error
        intensity, factor = total / there.sum(), structure_factor(total, species, form_factors)
    return {INTENSITY[params.radiation].path: intensity, STRUCTURE_FACTOR.path: factor}


ANALYSIS = Analysis(
    name="diffraction",
    kind="atoms",
    summary="Powder pattern and structure factor S(q) of a particle, by the Debye sum with atomic form factors",
    params=DiffractionParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.diffraction",
    needs=("positions",),
    prepare=prepare,
    run=run,
)
