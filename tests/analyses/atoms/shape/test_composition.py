import numpy as np
import pytest

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps
from stemdask.simulate import nanocrystal


def analysed(positions, numbers, **params):
    frame = AtomsFrame(0, positions, np.asarray(numbers, np.uint8))
    chosen, problems = steps(Document({"analyses": {"composition": params}}), "atoms")
    assert problems == []
    prepared = chain.prepare("atoms", chosen, [frame])
    frame.results.update(prepared)
    return prepared | chain.analyse("atoms", chosen, frame)


def core_shell(radius=8.0, diameter=26.0):
    positions = nanocrystal(diameter).positions
    distance = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    return positions, np.where(distance < radius, 28, 78), distance


def test_a_core_and_its_shell_are_where_they_were_put():
    positions, numbers, distance = core_shell()
    found = analysed(positions, numbers)
    assert found["composition/element"].tolist() == [28, 78]
    radius, nickel = found["composition/radius"], found["composition/fraction_by_radius"][0]
    filled = found["composition/count_by_radius"].sum(axis=0) > 0
    assert (nickel[filled & (radius < 8)] == 1).all()
    assert (nickel[filled & (radius > 8)] == 0).all()
    assert found["composition/fraction_surface"].tolist() == [0, 1]
    outside = found["atoms/surface"] == 1
    expected = (numbers[~outside] == 28).mean()
    np.testing.assert_allclose(found["composition/fraction_core"], [expected, 1 - expected])
    assert found["composition/count_by_radius"].sum() == len(distance)


def test_depth_counts_from_the_surface():
    positions, numbers, _ = core_shell()
    found = analysed(positions, numbers)
    platinum = found["composition/fraction_by_depth"][1]
    assert platinum[0] == 1
    assert np.nanmin(platinum) == 0
    assert found["composition/count_by_depth"][:, 0].sum() == ((found["atoms/depth"] < 2) & (numbers > 0)).sum()


def test_the_core_of_a_ball_begins_at_its_depth_and_has_its_part_of_the_volume():
    grid = np.stack(np.meshgrid(*[np.arange(-13.0, 14)] * 3, indexing="ij"), -1).reshape(-1, 3) + 0.25
    ball, radius, core = 2.5 * grid[np.linalg.norm(grid, axis=1) < 12.4], 2.5 * 12.4, 2.5 * 7.0
    found = analysed(ball, np.where(np.linalg.norm(ball, axis=1) < core, 28, 78))
    nickel, depth = found["composition/fraction_by_depth"][0], found["composition/depth"]
    counts = found["composition/count_by_depth"]
    filled, layer = counts.sum(axis=0) > 0, 2.5
    assert (nickel[filled & (depth > radius - core + 1.6 * layer)] == 1).all()
    assert (nickel[filled & (depth < radius - core - 1.6 * layer)] == 0).all()
    assert counts[0].sum() / counts.sum() == pytest.approx((core / radius) ** 3, rel=0.03)


def test_errors_are_the_scatter_of_random_alloys():
    positions = nanocrystal(22).positions
    values, errors = [], []
    for seed in range(30):
        found = analysed(positions, np.random.default_rng(seed).choice([28, 78], len(positions), p=[0.3, 0.7]))
        values.append([found[f"composition/fraction_{part}"][0] for part in ("surface", "core")])
        errors.append([found[f"composition/fraction_{part}_err"][0] for part in ("surface", "core")])
    np.testing.assert_allclose(np.mean(values, axis=0), 0.3, atol=0.02)
    np.testing.assert_allclose(np.std(values, axis=0), np.mean(errors, axis=0), rtol=0.35)


def test_one_atom_has_neither_core_nor_depth():
    found = analysed(np.zeros((1, 3)), [78])
    assert np.isnan(found["composition/fraction_core"]).all()
    assert found["composition/count_by_depth"].sum() == 0
    assert found["composition/count_by_radius"].tolist() == [[1]]


def test_wider_shells_are_fewer():
    positions, numbers, _ = core_shell()
    assert len(analysed(positions, numbers, width="4 angstrom")["composition/radius"]) == pytest.approx(
        len(analysed(positions, numbers)["composition/radius"]) / 2, abs=1
    )
