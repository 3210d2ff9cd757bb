"""pyboo itself, run beside a scipy that has no `sph_harm` any more."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from stemdask import simulate
from stemdask.adapters import pyboo
from stemdask.kernels.atoms.bond_order import bond_order
from stemdask.kernels.atoms.bonds import bonds
from stemdask.kernels.atoms.crystallinity import Criterion
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.sources.opening import open_source

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("boo") is None, reason="pyboo is not installed; .ci/pyboo builds it"
)


def test_the_lent_name_is_what_scipy_had_and_is_given_back() -> None:
    had = hasattr(special, "sph_harm")
    boo = pyboo.load()
    assert hasattr(special, "sph_harm") == had
    azimuth, polar = np.meshgrid(np.linspace(0, 6, 7), np.linspace(0.1, 3, 5))
    # Y_1^1 = -sqrt(3 / 8π) sin(polar) exp(i azimuth), and Y_2^0 = sqrt(5 / 16π) (3 cos²(polar) - 1).
    harmonic = boo.boo.sph_harm
    first = -np.sqrt(3 / (8 * np.pi)) * np.sin(polar) * np.exp(1j * azimuth)
    second = np.sqrt(5 / (16 * np.pi)) * (3 * np.cos(polar) ** 2 - 1)
    np.testing.assert_allclose(harmonic(1, 1, azimuth, polar), first, atol=1e-14)
    np.testing.assert_allclose(harmonic(0, 2, azimuth, polar), second, atol=1e-14)


@pytest.mark.golden
@pytest.mark.parametrize("name", ["stage1", "stage2", "trunc_octa_ideal"])
def test_the_published_q6_comes_out_to_the_last_digit(name: str, reference: Path) -> None:
    published = np.load(reference / "golden" / f"pyboo_{name}.npz")
    found = pyboo.bond_order(
        published["pos"], published["bonds"], [6], normalised=False, threshold=0.8, min_fraction=0.5
    )
    np.testing.assert_allclose(found["q"][0], published["q6"], rtol=2e-15)  # processors add in different orders


def test_it_agrees_with_the_native_engine_on_a_shaken_particle() -> None:
    positions = simulate.trajectory(simulate.nanocrystal(16.0), 1, sigma=0.15, seed=4).read(0).positions
    neighbours = find_neighbours(positions, 3.4)
    bonded = bonds(neighbours)
    pairs = np.column_stack([bonded.atom_1, bonded.atom_2])
    found = pyboo.bond_order(positions, pairs, [4, 6], normalised=False, threshold=0.8, min_fraction=0.5)
    native = bond_order(neighbours, (4, 6), convention="pyboo")
    for name in ("q", "w", "q_avg", "w_avg"):
        np.testing.assert_allclose(found[name], getattr(native, name), atol=1e-13, err_msg=name)
    np.testing.assert_allclose(found["s6"], native.s6[bonded.entry], atol=1e-13)
    assert 0 < found["crystalline"].mean() < 1
    np.testing.assert_array_equal(found["crystalline"], native.crystalline)


def test_as_many_particles_of_the_gel_are_crystalline_as_pyboo_s_example_says() -> None:
    spec = importlib.util.find_spec("boo")
    assert spec is not None
    assert spec.origin is not None
    gel = Path(spec.origin).parent / "examples" / "AR-Res06A_scan2_t890.xyz"
    if not gel.exists():
        pytest.skip("the wheel of pyboo was made without the files of its examples; .ci/pyboo keeps them")
    source = open_source(str(gel))
    neighbours = find_neighbours(source.read(0).positions, 12.5)
    order = bond_order(neighbours, (6,), criterion=Criterion(0.7, min_bonds=7))
    assert len(neighbours.point) == 2 * 110_120
    assert np.count_nonzero(order.crystalline == 1) == 14_188
