"""Crystals of any structure recur; liquids and glasses don't, however many atoms are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from stemdask.kernels.atoms.repeated_surroundings import repeats

PLACES = [[0, 0, 0], [0, 0.5, 0.25], [0.5, 0.5, 0.5], [0.5, 0, 0.75]]


def tin(n: int, noise: float = 0.05) -> Atoms:
    """White tin, which no template knows."""
    atoms = Atoms("Sn4", scaled_positions=PLACES, cell=[5.83, 5.83, 3.18]).repeat((n, n, 2 * n))
    atoms.positions += np.random.default_rng(0).normal(0.0, noise, (len(atoms), 3))
    return atoms


def gas(n: int, length: float) -> np.ndarray:
    """Atoms at random, none nearer than 2.5 to another."""
    random, places = np.random.default_rng(1), np.empty((0, 3))
    while len(places) < n:
        new = random.uniform(0, length, 3)
        if len(places) == 0 or np.linalg.norm(places - new, axis=1).min() > 2.5:
            places = np.vstack([places, new])
    return places


def asked_of(positions: np.ndarray) -> np.ndarray:
    return repeats(positions, np.full(len(positions), 50, np.uint8), np.ones(len(positions), bool))


def test_atoms_at_random_are_in_no_crystal() -> None:
    assert not asked_of(gas(700, 30.0)).any()


@pytest.mark.parametrize("n", [3, 5])
def test_a_crystal_among_atoms_at_random_is_found_whole_and_alone(n: int) -> None:
    """More of them are asked for than are looked at first."""
    crystal, beside = tin(n).positions, np.array([0.0, 0.0, 100.0])
    found = asked_of(np.vstack([crystal, gas(700, 30.0) + beside]))
    middle = np.linalg.norm(crystal - crystal.mean(axis=0), axis=1) < 5.5
    assert found[: len(crystal)][middle].mean() > 0.95
    assert not found[len(crystal) :].any()


def test_the_same_places_of_other_elements_are_no_repetition() -> None:
    positions = tin(3, 0.0).positions
    numbers = np.random.default_rng(0).integers(20, 80, len(positions)).astype(np.uint8)
    assert not repeats(positions, numbers, np.ones(len(numbers), bool)).any()
