import numpy as np
import pytest
from crystals import CELLS

from stemdask.kernels.atoms import kinds
from stemdask.kernels.atoms.fractions import fraction
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.short_range_order import SHELLS, shell_edges, short_range_order


def ordered(crystal, kind, n_shells=3):
    elements, species = np.unique(crystal.numbers, return_inverse=True)
    positions, cell = crystal.positions, crystal.cell[:]
    distance = find_neighbours(positions, 4.5, cell).distance.min()
    edges = shell_edges(kind, distance, n_shells)
    return short_range_order(find_neighbours(positions, np.nanmax(edges), cell), species, len(elements), edges)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("Cu3Au", kinds.FCC, [-1 / 3, 1, -1 / 3]),
        ("NiAl", kinds.BCC, [-1, 1, 1]),
        ("CdSe", kinds.CUBIC_DIAMOND, [-1, 1, -1]),
        ("NaCl", kinds.SIMPLE_CUBIC, [-1, 1, -1]),
        ("wurtzite", kinds.HEXAGONAL_DIAMOND, [-1, np.nan, np.nan]),
    ],
)
def test_ordered_structures_have_the_values_of_the_textbook(name, kind, expected):
    found = ordered(CELLS[name].repeat(3), kind)
    np.testing.assert_allclose(found.parameter[0, 1], expected, atol=1e-12)
    np.testing.assert_allclose(found.parameter[1, 0], expected, atol=1e-12)


def test_tetragonal_order_has_two_thirds_unlike_neighbours():
    found = ordered(CELLS["FePt"].repeat(3), kinds.FCC, 2)
    np.testing.assert_allclose(found.parameter[0, 1], [1 - (8 / 12) / 0.5, 1], atol=1e-12)


@pytest.mark.parametrize("kind", SHELLS)
def test_shells_lie_where_the_lattice_has_them(kind):
    name = {kinds.FCC: "Pt", kinds.HCP: "Co", kinds.BCC: "Fe", kinds.SIMPLE_CUBIC: "Po", kinds.CUBIC_DIAMOND: "Si"}
    crystal = CELLS[name.get(kind, "wurtzite")].repeat(4)
    edges = shell_edges(kind, 1.0, 4)
    r = find_neighbours(crystal.positions, 9.0, crystal.cell[:]).distance
    r = np.sort(r / r.min())
    known = np.isfinite(edges)
    for edge in edges[known]:
        assert np.abs(r - edge).min() > 0.02
    within = [len(np.unique(r[r < edge].round(1))) for edge in edges[known]]
    assert within == list(range(1, known.sum() + 1))


def test_a_random_alloy_has_none_within_its_errors():
    crystal = CELLS["Pt"].repeat(6)
    pulls = []
    for seed in range(20):
        crystal.numbers[:] = np.random.default_rng(seed).choice([28, 46, 78], len(crystal), p=[0.2, 0.3, 0.5])
        found = ordered(crystal, kinds.FCC, 4)
        pulls.append((found.parameter / found.error)[[0, 0, 1], [1, 2, 2]])
    pulls = np.array(pulls)
    assert abs(pulls.mean()) < 0.15
    assert 0.7 < pulls.std() < 1.2


def test_no_neighbours_leave_no_value_and_one_element_has_zero():
    nothing = short_range_order(find_neighbours(np.empty((0, 3)), 3.0), np.empty(0, int), 2, np.array([3.0, np.nan]))
    assert np.isnan(nothing.parameter).all()
    assert nothing.neighbours.sum() == 0
    assert ordered(CELLS["Pt"].repeat(2), kinds.FCC).parameter[0, 0].tolist() == [0, 0, 0]


def test_the_error_of_a_fraction_is_its_scatter_also_of_few():
    for n, p in ((5, 0.1), (20, 0.5), (200, 0.02)):
        found = fraction(np.random.default_rng(0).binomial(n, p, 4000), n)
        assert found.error.min() > 0
        assert np.mean((found.value - p) ** 2) == pytest.approx(np.mean(found.error**2), rel=0.2)
    np.testing.assert_allclose(fraction(3000, 10000).error, np.sqrt(0.3 * 0.7 / 10000), rtol=1e-3)
    assert np.isnan(fraction(0, 0)).all()


@pytest.mark.claims
def test_pyscal3_finds_the_same_in_an_alloy():
    pyscal3 = pytest.importorskip("pyscal3")
    crystal = CELLS["Pt"].repeat(5)
    crystal.numbers[:] = np.random.default_rng(0).choice([28, 78], len(crystal), p=[0.3, 0.7])
    pyscal3.find_neighbors(crystal, method="cutoff", cutoff=3.3)
    theirs = [pyscal3.short_range_order(crystal, one, other) for one, other in ((28, 78), (78, 28), (28, 28))]
    found = ordered(crystal, kinds.FCC, 1).parameter[:, :, 0]
    np.testing.assert_allclose([found[0, 1], found[1, 0], found[0, 0]], theirs, atol=1e-12)
