import numpy as np
import pytest
from crystals import CELLS, particle

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps


def analysed(frame, **params):
    chosen, problems = steps(Document({"analyses": {"short_range_order": params}}), "atoms")
    assert problems == []
    prepared = chain.prepare("atoms", chosen, [frame])
    frame.results.update(prepared)
    found = prepared | chain.analyse("atoms", chosen, frame)
    pairs = zip(*(found[f"short_range_order/{name}"].tolist() for name in ("center", "neighbor")), strict=True)
    return dict(zip(pairs, found["short_range_order/alpha"], strict=True)), found


@pytest.mark.parametrize(
    ("name", "pair", "expected"),
    [("Cu3Au", (29, 79), [-1 / 3, 1, -1 / 3]), ("NiAl", (13, 28), [-1, 1, 1]), ("CdSe", (34, 48), [-1, 1, -1])],
)
def test_the_lattice_tells_the_shells_of_a_shaken_crystal(name, pair, expected):
    crystal = CELLS[name].repeat(5)
    noise = np.random.default_rng(0).normal(scale=0.06, size=crystal.positions.shape)
    numbers = crystal.numbers.astype(np.uint8)
    alpha, _ = analysed(AtomsFrame(0, crystal.positions + noise, numbers, crystal.cell[:], (True,) * 3))
    np.testing.assert_allclose(alpha[pair], expected, atol=0.03)  # tails of close shells overlap


def test_an_ordered_particle_is_near_the_ordered_crystal():
    alpha, found = analysed(AtomsFrame(0, *particle("FePt", 16.0, 0.05)))
    assert alpha[26, 78][0] == pytest.approx(-1 / 3, abs=0.03)
    assert alpha[26, 78][1] > 0.9
    assert (found["short_range_order/alpha_err"][:, 0] < 0.03).all()


def test_without_one_lattice_for_all_elements_the_first_shell_alone_is_told():
    crystal = CELLS["CeO2"].repeat(4)
    numbers = crystal.numbers.astype(np.uint8)
    alpha, found = analysed(AtomsFrame(0, crystal.positions, numbers, crystal.cell[:], (True,) * 3))
    assert np.isfinite(found["short_range_order/shell_edge"]).tolist() == [True, False, False]
    assert alpha[58, 8][0] == pytest.approx(1 - 1 / (2 / 3))
    assert np.isnan(alpha[58, 8][1:]).all()
