"""Crystals along a zone axis, and which of their columns the sublattices of an image are."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from stemdask.kernels.images.crystal.projection import Projection, match, project

#: Lengths of the vectors of the projected lattice, angstrom, and the elements of each column, from crystallography.
ZONES = [
    ("BaTiO3", (0, 0, 1), (4.0, 4.0), ["Ba", "O", "O", "OTi"]),
    ("BaTiO3", (1, 1, 0), (4.0 / 2**0.5, 4.0), ["BaO", "O2", "Ti"]),
    ("BaTiO3", (2, 2, 0), (4.0 / 2**0.5, 4.0), ["BaO", "O2", "Ti"]),
    ("Au", (0, 0, 1), (2.04, 2.04), ["Au4"]),
    ("Au", (1, 1, 0), (2.04 * 1.5**0.5, 2.04 * 1.5**0.5), ["Au4"]),
    ("Si", (1, 1, 0), (5.43 * 0.375**0.5, 5.43 * 0.375**0.5), ["Si4", "Si4"]),
    ("GaAs", (1, 1, 0), (5.653 * 0.375**0.5, 5.653 * 0.375**0.5), ["As4", "Ga4"]),
    ("MgO", (0, 0, 1), (2.106, 2.106), ["Mg4O4"]),
]


def crystal(name: str) -> Atoms:
    if name == "BaTiO3":
        places = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
        return Atoms("BaTiOOO", scaled_positions=places, cell=[4.0] * 3, pbc=True)
    found: Atoms = {
        "Au": lambda: bulk("Au", a=4.08, cubic=True),
        "Si": lambda: bulk("Si", a=5.43, cubic=True),
        "GaAs": lambda: bulk("GaAs", "zincblende", a=5.653, cubic=True),
        "MgO": lambda: bulk("MgO", "rocksalt", a=4.212, cubic=True),
    }[name]()
    return found


def seen(name: str, zone: tuple[int, int, int]) -> Projection:
    atoms = crystal(name)
    return project(np.asarray(atoms.cell), atoms.positions, atoms.numbers**1.7, zone)


@pytest.mark.parametrize(("name", "zone", "lengths", "elements"), ZONES)
def test_columns_are_those_that_crystallography_has(
    name: str, zone: tuple[int, int, int], lengths: tuple[float, float], elements: list[str]
) -> None:
    found, symbols = seen(name, zone), crystal(name).symbols
    np.testing.assert_allclose(np.hypot(*found.vectors.T), lengths, atol=1e-3)
    columns = [symbols[np.flatnonzero(found.column == k)].get_chemical_formula() for k in range(len(found.places))]
    assert sorted(columns) == elements


@pytest.mark.parametrize("scale", [1.0, 0.9, 13.0])
@pytest.mark.parametrize("turn", [0.0, 25.0, 60.0])
def test_a_turned_image_of_any_scale_is_named(scale: float, turn: float) -> None:
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    onto = scale * np.array([[cos, -sin], [sin, cos]])
    vectors, places = 4.0 * np.eye(2)[::-1] @ onto, np.array([[0, 0], [2.1, 1.93]]) @ onto
    found = match(vectors, places, np.array([1.0, 0.3]), seen("BaTiO3", (0, 0, 1)), calibrated=scale < 2)
    assert found is not None
    assert found.column.tolist() == [0, 1]
    assert found.scale == pytest.approx(1.0 / scale)
    np.testing.assert_allclose(found.places, np.array([[0, 0], [2.0, 2.0]]) @ onto, atol=1e-9 * scale)


def test_weak_columns_need_not_be_seen() -> None:
    found = match(4.0 * np.eye(2), np.zeros((1, 2)), np.ones(1), seen("BaTiO3", (0, 0, 1)), calibrated=True)
    assert found is not None
    assert (found.column.tolist(), found.scale) == ([0], pytest.approx(1.0))


def test_the_elements_of_a_dumbbell_follow_the_heights() -> None:
    columns = seen("GaAs", (1, 1, 0))
    as_column = int(np.argmax(columns.brightness))
    vectors = np.array([[0.0, 3.997], [2.8265, 1.9985]])
    for heights, brighter in (([1.0, 0.9], 0), ([0.9, 1.0], 1)):
        found = match(vectors, np.array([[0, 0], [1.413, 0]]), np.array(heights), columns, calibrated=True)
        assert found is not None
        assert found.column[brighter] == as_column


@pytest.mark.parametrize(
    ("name", "zone"), [("BaTiO3", (1, 1, 0)), ("Au", (0, 0, 1)), ("Si", (1, 1, 0)), ("MgO", (0, 0, 1))]
)
def test_another_lattice_is_refused(name: str, zone: tuple[int, int, int]) -> None:
    places, heights = np.array([[0, 0], [2.1, 1.93]]), np.array([1.0, 0.26])
    assert match(4.0 * np.eye(2), places, heights, seen(name, zone), calibrated=True) is None


def test_a_cell_of_the_image_that_mixes_columns_is_refused() -> None:
    """Where Ba and Ti/O look alike, one of the cell's two columns is both."""
    vectors = np.array([[2.0, 2.0], [-2.0, 2.0]])
    alike = seen("BaTiO3", (0, 0, 1))
    alike = alike._replace(brightness=alike.brightness**0.2)
    heights = np.array([1.0, 0.6])
    assert match(vectors, np.array([[0, 0], [2.0, 0.0]]), heights, alike, calibrated=True) is None
