"""Atomic form factors: how strongly an atom scatters X-rays or electrons."""

from __future__ import annotations

from typing import Literal, TypeAlias

import gemmi
import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Floats

Radiation: TypeAlias = Literal["xray", "electron"]

#: The fits hold up to this q.
LARGEST_Q = 25.0


def form_factor(number: int, q: ArrayLike, radiation: Radiation = "xray") -> Floats:
    """Return the form factor of a neutral atom: for X-rays in electrons, for electrons in angstrom.

    Parameters
    ----------
    number
        Atomic number.
    q
        (k,), length of the scattering vector, 4 π sin θ / λ, in 1/angstrom, up to 25.
    radiation
        What is scattered.

    Raises
    ------
    ValueError
        No form factor of that atomic number is tabulated: that of californium, 98, is the last.

    Notes
    -----
    International Tables for Crystallography C, tables 6.1.1.4 (X-rays, sums of four Gaussians and a constant) and
    4.3.2.2 (electrons, five Gaussians), as gemmi holds them.

    Examples
    --------
    >>> form_factor(78, [0.0, 4.0]).round(1)
    array([78. , 57.3])
    """
    element = gemmi.Element(int(number))
    coefficients = element.it92 if radiation == "xray" else element.c4322
    if coefficients is None or number < 1:
        raise ValueError(f"no form factor is tabulated for the atomic number {number}; the last is 98")
    s_squared = (np.asarray(q, float) / (4 * np.pi)) ** 2
    return np.array([coefficients.calculate_sf(s) for s in s_squared.ravel()]).reshape(s_squared.shape)
