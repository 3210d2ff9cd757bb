"""Molecular dynamics of a small particle of platinum: crystals that melt and melts that solidify, from the frame and
from the place at which the thermostat says so.

The potential is the second-moment one of F. Cleri and V. Rosato, Phys. Rev. B 48, 22 (1993).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

#: A and xi [eV], p, q and the nearest distance [Å] of platinum; its mass [eV fs²/Å²].
_A, _XI, _P, _Q, _R0 = 0.2975, 2.695, 10.612, 4.004, 2.7747
_MASS = 195.084 * 103.6427
_BOLTZMANN = 8.617333e-5  # eV/K
_STEP = 4.0  # fs
_FRICTION = 0.01  # 1/fs
_REACH = 3.0  # in nearest distances


def dynamics(
    positions: np.ndarray,
    temperature: Callable[[int, np.ndarray], np.ndarray | float],
    n_frames: int,
    steps: int,
    seed: int = 0,
    held: float = 0.0,
) -> np.ndarray:
    """Return frames (n_frames, n, 3), so many steps of 4 fs apart, by Langevin dynamics.

    Parameters
    ----------
    positions
        (n, 3), angstrom, about the origin.
    temperature
        Of each atom, kelvin, by the number of the frame and the distances to the origin.
    n_frames, steps, seed
        Number of frames, steps between them, seed of the random numbers.
    held
        Atoms that start within this distance of the origin stay where they are.
    """
    rng = np.random.default_rng(seed)
    x = positions.astype(float)
    free = (np.linalg.norm(x, axis=1) >= held)[:, None] / 1.0
    kept = np.exp(-_FRICTION * _STEP)

    def kicks(frame: int) -> np.ndarray:
        kelvin = np.broadcast_to(temperature(frame, np.linalg.norm(x, axis=1)), len(x))
        return free * rng.normal(size=x.shape) * np.sqrt(_BOLTZMANN * kelvin[:, None] / _MASS)

    v, force, frames = kicks(0), _forces(x), []
    for frame in range(n_frames):
        for _ in range(steps):
            v += 0.5 * _STEP * free * force / _MASS
            x = x + 0.5 * _STEP * v
            v = kept * v + np.sqrt(1 - kept**2) * kicks(frame)
            x = x + 0.5 * _STEP * v
            force = _forces(x)
            v += 0.5 * _STEP * free * force / _MASS
        frames.append(x)
    return np.array(frames)


@njit(cache=True)
def _forces(positions: np.ndarray) -> np.ndarray:
    n = len(positions)
    bond, pull = np.zeros(n), np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            r = np.sqrt(((positions[i] - positions[j]) ** 2).sum()) / _R0
            if r < _REACH:
                pull[i, j] = _XI**2 * np.exp(-2 * _Q * (r - 1))
                bond[i] += pull[i, j]
                bond[j] += pull[i, j]
    bond = 1 / np.sqrt(bond)
    force = np.zeros((n, 3))
    for i in range(n):
        for j in range(i):
            if pull[i, j] > 0:
                away = positions[i] - positions[j]
                length = np.sqrt((away**2).sum())
                push = 2 * _A * _P * np.exp(-_P * (length / _R0 - 1))
                along = (push - _Q * pull[i, j] * (bond[i] + bond[j])) / (_R0 * length) * away
                force[i] += along
                force[j] -= along
    return force
