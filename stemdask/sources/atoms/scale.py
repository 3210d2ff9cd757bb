"""Whether coordinates are in angstrom: the distances of nearest neighbours against those that their elements have."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Array, Floats, Indices
from stemdask.model import AtomsFrame
from stemdask.sources.atoms.bond_valence import stretch
from stemdask.sources.atoms.elements import (
    chemical_symbol,
    is_metal,
    is_noble_gas,
    is_non_metal,
    nearest_distance,
)

#: Median of distances by those expected. Real structures, from molecules to solid argon, have 0.8 to 1.25.
_WIDE = (0.75, 1.4)
#: The same where no element is a non-metal, of metals of any structure: up to 1.18, of plutonium.
_METALLIC = (0.75, 1.23)
#: The same of metals and alloys, whose bonds are those of the elements: of the mean of the six nearest, which noise
#: hardly shortens. Particles with 0.2 angstrom of noise have 0.91, alloys of unlike atoms up to 1.15.
_METALS, _METAL_NEAREST, _METAL_ATOMS = (0.87, 1.16), 6, 50
#: In chains of atoms and vapours the sixth is farther than this, in units of the nearest.
_METAL_FARTHEST = 1.6
#: By how much bonds are longer than the valences of the elements allow: of 450 crystals and molecules 0.84 to 1.2,
#: hydrogen sulphide under a pressure of 155 GPa 0.78. What is said of it must show in the nearest distances alone, too.
_VALENCES, _NEAREST, _VALENCE_ATOMS = (0.77, 1.19), (0.93, 1.08), 4
#: How far [angstrom] the oxygen of water is apart, of which files often leave the hydrogen out.
_OXYGEN, _WATER = 8, (2.6, 3.0)
#: Of each atom the nearest others that are looked at; of a valence, those beyond have no part.
_MOST_NEIGHBOURS = 14
#: Angstrom in units that coordinates come in by mistake, and how their length is written.
_UNITS = {"nm": (10.0, "1 nm"), "pm": (0.01, "1 pm"), "bohr": (0.529177, "0.529177 angstrom"), "m": (1e10, "1 m")}
_MOST_ATOMS = 2000
#: Images of a box are looked at as far as this, in units of the edge of a cube as large as an atom has room.
_REACH = 1.8


class _Nearest(NamedTuple):
    """The nearest others of some atoms."""

    distance: Floats
    """(m, k), ascending."""
    expected: Floats
    """(m, k), the mean of the nearest distances in both bulk elements."""
    stretch: Floats
    """(m,), by how much bonds are longer than valences allow; NaN where none is known."""
    pair: str
    """The elements that are nearest to each other most often."""


def odd_scale(frame: AtomsFrame) -> str | None:
    """Say what is wrong with the scale of a frame, and what to do; None where the distances are those of its elements.

    Each atom is compared with its nearest one, or in metals its six nearest: the mean of the nearest distances in both
    bulk elements. In compounds the valences that bonds of such lengths would have decide.
    """
    elements, near = np.unique(frame.numbers), _nearest(frame)
    distance, expected = near.distance[:, 0], near.expected[:, 0]
    shortest, longest = _WIDE if any(map(is_non_metal, elements.tolist())) else _METALLIC
    if _is_close_packed(frame, near):
        few = slice(_METAL_NEAREST)
        distance, expected = near.distance[:, few].mean(axis=1), near.expected[:, few].mean(axis=1)
        shortest, longest = _METALS
    known = np.isfinite(expected)  # not of atoms whose element isn't
    distance, expected = distance[known], expected[known]
    if not len(distance):
        return None
    ratio, found, right = (float(np.median(values)) for values in (distance / expected, distance, expected))
    strain = near.stretch[np.isfinite(near.stretch)]
    if len(strain) >= (1 if _is_endless(frame) else _VALENCE_ATOMS):
        stretched = float(np.median(strain))
        shorter = stretched < _VALENCES[0] and ratio < _NEAREST[0]
        longer = stretched > _VALENCES[1] and ratio > _NEAREST[1]
        if not (shorter or longer) or _is_water(elements, near):
            return None
        ratio, right, (shortest, longest) = stretched, found / max(stretched, 1e-9), _VALENCES
    elif shortest <= ratio <= longest:
        return None
    if not found > 0:
        return "most atoms coincide with another one"
    said = f"nearest atoms are {found:.3g} angstrom apart, where {near.pair} bonds have about {right:.3g}"
    units = [(name, text) for name, (factor, text) in _UNITS.items() if shortest <= ratio * factor <= longest]
    remedies = [f"in {name} (give input.scale: {text})" for name, text in units]
    if not units or units[0][0] == "bohr":
        remedies.append(
            f"in voxels (give the length of one as input.scale, about {right / found:.2g} angstrom, or "
            f"input.calibrate_from: {{nearest_neighbour: {right:.3g} angstrom}})"
        )
    return f"{said}, as if the coordinates were {' or '.join(remedies)}"


def _is_water(elements: Array, near: _Nearest) -> bool:
    """Tell whether atoms are the oxygen of water without its hydrogen."""
    shortest, longest = _WATER
    return elements.tolist() == [_OXYGEN] and shortest <= float(np.median(near.distance[:, 0])) <= longest


def _is_endless(frame: AtomsFrame) -> bool:
    return frame.cell is not None and all(frame.periodic)


def _is_close_packed(frame: AtomsFrame, near: _Nearest) -> bool:
    """Tell whether a frame is a piece of metal or noble gas whose nearest neighbours are known, no chain or vapour."""
    elements = np.unique(frame.numbers)
    known = all(is_metal(int(number)) for number in elements) or (len(elements) == 1 and is_noble_gas(int(elements[0])))
    if not known or near.distance.shape[1] < _METAL_NEAREST:
        return False
    sixth = near.distance[:, _METAL_NEAREST - 1] / np.maximum(near.distance[:, 0], 1e-9)
    return (_is_endless(frame) or len(frame.numbers) >= _METAL_ATOMS) and bool(np.median(sixth) < _METAL_FARTHEST)


@cache
def _bulk() -> Floats:
    return np.array([nearest_distance(number) for number in range(256)])


def _nearest(frame: AtomsFrame) -> _Nearest:
    """Return what the nearest others of some atoms are, and how far."""
    there = np.isfinite(frame.positions).all(axis=1)
    points, numbers = frame.positions[there], frame.numbers[there]
    chosen = np.unique(np.linspace(0, len(points) - 1, min(len(points), _MOST_ATOMS)).astype(int))
    distance, other = _neighbours(points, chosen, frame)
    if not distance.size:
        return _Nearest(np.empty((0, 1)), np.empty((0, 1)), np.empty(0), "")
    number, others = numbers[chosen], numbers[other]
    expected = 0.5 * (_bulk()[number][:, None] + _bulk()[others])
    pairs = np.sort(np.column_stack([number, others[:, 0]]), axis=1)
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    pair = "-".join(chemical_symbol(number) for number in kinds[np.argmax(counts)])
    return _Nearest(distance, expected, stretch(number, others, distance), pair)


def _neighbours(points: Floats, chosen: Indices, frame: AtomsFrame) -> tuple[Floats, Indices]:
    """Return the distances (m, k) of the nearest others of chosen atoms, and which they are."""
    from scipy.spatial import cKDTree

    from stemdask.kernels.atoms.periodic import images

    n, every, owner = len(points), points, np.arange(len(points))
    if n and frame.cell is not None and any(frame.periodic):
        reach = _REACH * float(np.cbrt(abs(np.linalg.det(frame.cell)) / n))
        wrapped, of, shift = images(points, reach, frame.cell, frame.periodic)
        every, owner = np.concatenate([wrapped, wrapped[of] + shift]), np.concatenate([owner, of])
    count = min(_MOST_NEIGHBOURS, len(every) - 1)
    if count < 1:
        return np.empty((0, 1)), np.empty((0, 1), np.intp)
    distance, place = cKDTree(every).query(every[chosen], k=count + 1)
    # The nearest one is the atom itself, unless another one coincides with it.
    other = owner[np.where(place[:, :1] == chosen[:, None], place[:, 1:], np.roll(place, 1, axis=1)[:, 1:])]
    return distance[:, 1:], other
