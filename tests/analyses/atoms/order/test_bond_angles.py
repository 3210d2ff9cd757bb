import numpy as np
from crystals import CELLS

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps


def test_the_bonds_are_those_of_the_coordination_numbers():
    crystal = CELLS["CeO2"].repeat(4)
    noise = np.random.default_rng(0).normal(scale=0.08, size=crystal.positions.shape)
    frame = AtomsFrame(0, crystal.positions + noise, crystal.numbers.astype(np.uint8), crystal.cell[:], (True,) * 3)
    chosen, problems = steps(Document({"analyses": {"bond_angles": {}}}), "atoms")
    assert problems == []
    prepared = chain.prepare("atoms", chosen, [frame])
    frame.results.update(prepared)
    found = chain.analyse("atoms", chosen, frame)
    names = ("center", "end_1", "end_2")
    triplets = list(zip(*(prepared[f"bond_angles/{name}"].tolist() for name in names), strict=True))
    counts = dict(zip(triplets, found["bond_angles/count"].sum(axis=1), strict=True))
    number = found["atoms/coordination"]
    for centre, end in ((58, 8), (8, 58)):
        own = number[frame.numbers == centre]
        assert counts[centre, end, end] == (own * (own - 1) // 2).sum()
    density = found["bond_angles/density"][triplets.index((8, 58, 58))]
    assert np.isclose(np.trapezoid(density, prepared["bond_angles/angle"]), 1)
    assert abs(prepared["bond_angles/angle"][np.argmax(density)] - 109.47) < 3
    assert np.isnan(found["bond_angles/density"][triplets.index((8, 8, 8))]).all()
