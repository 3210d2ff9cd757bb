"""Whether coordinates are in angstrom: the distances of nearest neighbours against those that their elements have."""

from __future__ import annotations

from functools import cache

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.model import AtomsFrame
from stemdask.sources.atoms.elements import chemical_symbol, is_metal, nearest_distance

#: Median of distances by those expected. Real structures, from molecules to solid argon, have 0.85 to 1.25.
_SHORTEST, _LONGEST = 0.75, 1.4
#: The same of metals and alloys, whose bonds are those of the elements: of the mean of the six nearest, which noise
#: hardly shortens. Particles with 0.2 angstrom of noise have 0.91, alloys of unlike atoms up to 1.07.
_METAL_SHORTEST, _METAL_LONGEST, _METAL_NEAREST, _METAL_ATOMS = 0.87, 1.15, 6, 50
#: In chains of atoms and vapours the sixth is farther than this, in units of the nearest.
_METAL_FARTHEST = 1.6
#: Angstrom in units that coordinates come in by mistake, and how their length is written.
_UNITS = {"nm": (10.0, "1 nm"), "pm": (0.01, "1 pm"), "bohr": (0.529177, "0.529177 angstrom"), "m": (1e10, "1 m")}
_MOST_ATOMS = 2000


def odd_scale(frame: AtomsFrame) -> str | None:
    """Say what is wrong with the scale of a frame, and what to do; None where the distances are those of its elements.

    Each atom is compared with its nearest one, or in metals its six nearest: the mean of the nearest distances in both
    bulk elements.
    """
    metals = len(frame.numbers) >= _METAL_ATOMS and all(is_metal(int(number)) for number in np.unique(frame.numbers))
    distances, lengths, pair = _nearest(frame, _METAL_NEAREST if metals else 1)
    metals = metals and bool(np.median(distances[:, -1] / np.maximum(distances[:, 0], 1e-9)) < _METAL_FARTHEST)
    shortest, longest, count = (_METAL_SHORTEST, _METAL_LONGEST, None) if metals else (_SHORTEST, _LONGEST, 1)
    distance, expected = distances[:, :count].mean(axis=1), lengths[:, :count].mean(axis=1)
    known = np.isfinite(expected)  # not of atoms whose element isn't
    distance, expected = distance[known], expected[known]
    if not len(distance):
        return None
    ratio = float(np.median(distance / expected))
    if shortest <= ratio <= longest:
        return None
    found, right = float(np.median(distance)), float(np.median(expected))
    if not found > 0:
        return "most atoms coincide with another one"
    said = f"nearest atoms are {found:.3g} angstrom apart, where {pair} bonds have about {right:.3g}"
    units = [(name, text) for name, (factor, text) in _UNITS.items() if shortest <= ratio * factor <= longest]
    remedies = [f"in {name} (give input.scale: {text})" for name, text in units]
    if not units or units[0][0] == "bohr":
        remedies.append(
            f"in voxels (give the length of one as input.scale, about {right / found:.2g} angstrom, or "
            f"input.calibrate_from: {{nearest_neighbour: {right:.3g} angstrom}})"
        )
    return f"{said}, as if the coordinates were {' or '.join(remedies)}"


@cache
def _bulk() -> Floats:
    return np.array([nearest_distance(number) for number in range(256)])


def _nearest(frame: AtomsFrame, count: int) -> tuple[Floats, Floats, str]:
    """Return the distances (n, count) of atoms to their nearest ones, what they should be, and the usual pair."""
    from scipy.spatial import cKDTree

    from stemdask.kernels.atoms.periodic import images

    there = np.isfinite(frame.positions).all(axis=1)
    points, numbers = frame.positions[there], frame.numbers[there]
    owner = np.arange(len(points))
    n = len(points)
    if n and frame.cell is not None and any(frame.periodic):
        reach = 1.2 * float(np.cbrt(abs(np.linalg.det(frame.cell)) / n))
        wrapped, of, shift = images(points, reach, frame.cell, frame.periodic)
        points, owner = np.concatenate([wrapped, wrapped[of] + shift]), np.concatenate([owner, of])
    if len(points) <= count:
        return np.empty((0, count)), np.empty((0, count)), ""
    chosen = np.unique(np.linspace(0, n - 1, min(n, _MOST_ATOMS)).astype(int))
    distance, place = cKDTree(points).query(points[chosen], k=count + 1)
    # The nearest one is the atom itself, unless another one coincides with it.
    other = owner[np.where(place[:, :1] == chosen[:, None], place[:, 1:], np.roll(place, 1, axis=1)[:, 1:])]
    expected = 0.5 * (_bulk()[numbers[chosen]][:, None] + _bulk()[numbers[other]])
    pairs = np.sort(np.column_stack([numbers[chosen], numbers[other[:, 0]]]), axis=1)
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    most = kinds[np.argmax(counts)]
    return distance[:, 1:], expected, "-".join(chemical_symbol(number) for number in most)
