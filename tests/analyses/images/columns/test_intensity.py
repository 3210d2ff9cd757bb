import numpy as np
import pytest

from stemdask.analyses.images.columns.intensity import IntensityParams, finish, outputs, run
from stemdask.analyses.images.stack import preprocess
from stemdask.model import ImageFrame
from stemdask.simulate import perovskite

NM = 0.03


def columns(truth, electrons=None, sigma=2.5):
    n = len(truth.positions)
    electrons = truth.electrons if electrons is None else electrons
    return {
        "columns/y": truth.positions[:, 0] * NM,
        "columns/x": truth.positions[:, 1] * NM,
        "columns/amplitude": electrons / (2 * np.pi * sigma**2),
        "columns/amplitude_err": np.full(n, 2.0),
        "columns/sigma_major": np.full(n, sigma * NM),
        "columns/sigma_minor": np.full(n, sigma * NM),
        "columns/sublattice": np.zeros(n, np.int8),
    }


def measured(image, truth, **more):
    found = run(ImageFrame(0, image, (NM, NM), results=columns(truth) | more), IntensityParams())
    assert set(found) == {v.path for v in outputs(IntensityParams()) if v.stage == "run"}
    return found


def inner(truth, size=160, margin=17):
    return ((truth.positions > margin) & (truth.positions < size - margin)).all(axis=1)


def test_the_gaussian_integral_is_what_the_column_scatters():
    image, truth = perovskite((160, 160))
    found = measured(image, truth)
    assert found["intensity/gaussian"] == pytest.approx(truth.electrons)
    assert found["intensity/gaussian_err"] == pytest.approx(2.0 * 2 * np.pi * 2.5**2)


def test_the_voronoi_cells_share_out_all_counts():
    image, truth = perovskite((160, 160), background=0)
    found = measured(image, truth)
    of = inner(truth)
    expected = truth.electrons[of].sum()
    assert np.nansum(found["intensity/voronoi"][of]) == pytest.approx(expected, rel=0.02)
    assert found["intensity/voronoi_area"][of].mean() == pytest.approx(128 * NM**2, rel=0.02)


def test_finer_and_turned_pixels_count_the_same():
    image, truth = perovskite((160, 160), noise=None)
    plain = measured(image, truth)
    prepared = preprocess.run(
        ImageFrame(0, image, (NM, NM)), preprocess.PreprocessParams(rotate={"angle": 20, "pixels": True}, upsample=2)
    )
    turned = measured(
        image, truth, **{path: array for path, array in prepared.items() if path.startswith("preprocess/")}
    )
    of = inner(truth, margin=30)
    assert turned["intensity/voronoi"][of] == pytest.approx(plain["intensity/voronoi"][of], rel=0.05)
    assert np.mean(turned["intensity/voronoi"][of]) == pytest.approx(np.mean(plain["intensity/voronoi"][of]), rel=0.01)
    assert turned["intensity/voronoi_area"][of].mean() == pytest.approx(
        plain["intensity/voronoi_area"][of].mean(), rel=0.01
    )


class Results:
    """A stack of results in memory."""

    def __init__(self, results, block):
        self.results, self.attributes = results, {}
        self.n_frames = len(results["columns/sublattice"])
        self.blocks = [slice(k, min(k + block, self.n_frames)) for k in range(0, self.n_frames, block)]

    def read(self, path, frames=slice(None)):
        return self.results[path][frames]

    def write(self, path, values, frames=None):
        whole = self.results.setdefault(path, np.empty((self.n_frames, *values.shape[1:]), values.dtype))
        whole[frames] = values

    def set_attributes(self, group, attributes):
        self.attributes[group] = attributes


def thick(n_frames=6, n=150, seed=0):
    """Return the counts and results of columns with steps of thickness; sublattice 1 scatters half as much an atom."""
    rng = np.random.default_rng(seed)
    sublattice = np.tile(np.arange(n) % 2, (n_frames, 1)).astype(np.int8)
    counts = rng.integers(3, 8, (n_frames, n))
    intensity = counts * np.where(sublattice == 0, 1000.0, 500.0) + rng.normal(0, 80, counts.shape) * (
        1 - 0.5 * sublattice
    )
    sublattice[-1, -9:], intensity[-1, -9:] = -1, np.nan  # padding
    return counts, {"columns/sublattice": sublattice, "intensity/gaussian": intensity}


@pytest.mark.parametrize("block", [1, 4, 6])
def test_atoms_are_counted_for_each_sublattice_from_the_whole_stack(block):
    counts, results = thick()
    stack = Results(results, block)
    finish(stack, IntensityParams(count_atoms=True))
    found = stack.results["intensity/n_atoms"]
    assert (found[-1, -9:] == -1).all()
    found, counts = found.ravel()[:-9], counts.ravel()[:-9]
    assert np.mean(found == counts) > 0.99
    assert stack.attributes["intensity"]["sublattice_1"]["n_atoms"] == [3, 4, 5, 6, 7]
    assert stack.attributes["intensity"]["sublattice_0"]["mean_intensity"][0] == pytest.approx(3000, rel=0.02)


def test_the_count_of_simulated_thickness_steps_follows_from_the_image():
    image, truth = perovskite(
        (360, 360), electrons_a=900.0, electrons_b=0.0, background=1.0, thickness=lambda at: 2 + at[:, 1] // 90
    )
    a = truth.sublattice == 0
    truth = type(truth)(*(value if name == "expected" else value[a] for name, value in vars(truth).items()))
    found = measured(image, truth)["intensity/voronoi"] - 256  # the background
    stack = Results({"columns/sublattice": np.zeros((1, len(found)), np.int8), "intensity/voronoi": found[None]}, 1)
    finish(stack, IntensityParams(count_atoms=True, count_on="voronoi"))
    expected = np.where(np.isfinite(found), 2 + truth.positions[:, 1] // 90, -1)
    apart = np.abs(truth.positions[:, 1] % 90 - 45) < 37  # cells on a step belong to neither side
    assert np.mean(stack.results["intensity/n_atoms"][0][apart] == expected[apart]) > 0.98


def test_nothing_is_counted_unless_asked_for():
    counts, results = thick()
    stack = Results(results, 6)
    finish(stack, IntensityParams())
    assert set(stack.results) == {"columns/sublattice", "intensity/gaussian"}
    assert counts.size
