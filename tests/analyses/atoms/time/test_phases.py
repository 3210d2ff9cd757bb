"""What changes over the frames is found where it was put in, and said in a sentence that holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from metal import dynamics

import stemdask as sd
from stemdask import simulate
from stemdask.analyses.atoms.time import phases
from stemdask.figures.atoms.phases import Series, parts, summary
from stemdask.results.reader import open_results
from stemdask.results.views import Results


def run(folder: Path, frames: Sequence[np.ndarray], **options: object) -> Path:
    """Write particles of platinum and run the summary over them."""
    rows = ["".join(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in positions) for positions in frames]
    path = folder / "particle.xyz"
    path.write_text("".join(f"{len(p)}\n\n{row}" for p, row in zip(frames, rows, strict=True)))
    config = {
        "input": {"path": str(path)},
        "output": str(folder / "particle.zarr"),
        "analyses": {"phases": {}},
        "cluster": {"kind": "inline"},
        "limits": {"isolate": False},
        **options,
    }
    return sd.run(config)


def changes(store: Path, name: str) -> list[tuple[int, int]]:
    """Return from which frame to which a number changes, of each change."""
    found = open_results(store)["phases"]
    chosen = found.quantity.values == [q.name for q in phases.QUANTITIES].index(name)
    return list(zip(found.start_frame.values[chosen], found.stop_frame.values[chosen], strict=True))


def sentence(store: Path) -> str:
    """Return the sentence of the report."""
    (part,) = parts(Results(open_results(store)), 0)
    return part.sentences[0]


@pytest.fixture(scope="module")
def melting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crystal that is heated above its melting point at frame 22 of 45."""
    sites = simulate.nanocrystal(18.0).positions
    frames = dynamics(sites, lambda frame, r: 2600.0 if frame >= 22 else 600.0, 45, 40, seed=1)
    return run(tmp_path_factory.mktemp("melting"), frames, block_frames=7)


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A particle that gains six atoms a frame from frame 15 to frame 30 of 45."""
    sites = simulate.nanocrystal(20.0).positions
    sites = sites[np.argsort(np.linalg.norm(sites, axis=1), kind="stable")]
    rng = np.random.default_rng(7)
    counts = np.interp(np.arange(45), [15, 30], [110, 200]).astype(int)
    return run(tmp_path_factory.mktemp("growing"), [sites[:n] + rng.normal(0, 0.08, (n, 3)) for n in counts])


@pytest.mark.long
def test_melting_is_found_within_two_frames(melting: Path) -> None:
    for name in ("core_order", "surface_order", "fraction_disordered", "fraction_fcc", "diameter"):
        ((start, _),) = changes(melting, name)
        assert start == pytest.approx(22, abs=2), name
    assert changes(melting, "n_atoms") == []
    assert "at frame 22 ±" in sentence(melting).lower()


@pytest.mark.long
def test_the_sentence_says_what_the_arrays_hold(melting: Path) -> None:
    found, said = open_results(melting)["phases"], sentence(melting)
    for name, verb in (("core_order", "falls"), ("surface_order", "falls")):
        values = found[name].values
        before, after = values[:20].mean(), values[-8:].mean()
        assert (after < before) == (verb == "falls")
        assert f"{found[name].attrs['long_name']} {verb} ({before:.2f} to" in said
    assert found.fraction.values[-8:, 0].mean() > 0.95
    assert "fraction of disordered atoms rises (0.00 to" in said


@pytest.mark.long
def test_the_order_of_every_layer_falls_with_the_particle(melting: Path) -> None:
    found = open_results(melting)["phases"]
    layers = found.layer_order.values
    there = np.isfinite(layers).all(axis=0)
    assert there.sum() >= 3
    before, after = layers[:22, there], layers[32:, there]
    assert (before.min(axis=0) > after.max(axis=0)).all()
    assert (found.layer_order_err.values[:, :3] > 0).all()  # the fourth has one atom


@pytest.mark.long
def test_fractions_of_structure_types_add_up_to_one(melting: Path) -> None:
    tree = open_results(melting)
    fraction = tree["phases"].fraction.values
    np.testing.assert_allclose(fraction.sum(axis=1), 1)
    n = tree["frames"].n_atoms.values[:, None]
    np.testing.assert_array_equal(tree["phases"].n_atoms.values, n[:, 0])
    np.testing.assert_allclose(fraction * n, tree["structure"]["count"].values, atol=1e-9)


@pytest.mark.long
def test_growth_is_found_within_two_frames(growing: Path) -> None:
    ((start, stop),) = changes(growing, "n_atoms")
    assert (start, stop) == pytest.approx((15, 30), abs=2)
    assert "the number of atoms rises (110 to 200)" in sentence(growing)


@pytest.mark.long
def test_a_quiet_particle_changes_nothing(tmp_path: Path) -> None:
    source = simulate.trajectory(simulate.nanocrystal(14.0), 30, sigma=0.1, rotation=1.0, seed=8)
    store = run(tmp_path, [source.read(k).positions for k in range(30)])
    assert open_results(store)["phases"].sizes["change"] == 0
    assert sentence(store) == "No number changes by 2 % or more beyond its noise."


def zone(frame: int) -> float:
    """Return the radius outside of which a particle is hot: it shrinks from frame 20 to frame 50."""
    return 13.0 * float(np.clip(1 - (frame - 20) / 30, 0, 1)) if frame >= 20 else 99.0


@pytest.fixture(scope="module")
def from_outside() -> np.ndarray:
    """A crystal that melts from its surface inwards, (80, 405, 3)."""
    sites = simulate.nanocrystal(22.0).positions
    return dynamics(sites, lambda frame, r: np.where(r > zone(frame), 2600.0, 400.0), 80, 60, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_melting_from_outside_begins_where_the_heat_arrives_and_ends_last_in_the_core(
    from_outside: np.ndarray, tmp_path: Path
) -> None:
    farthest = np.linalg.norm(from_outside[0], axis=1).max()
    arrives = next(k for k in range(80) if zone(k) < farthest)
    store = run(tmp_path, from_outside)
    (core,), (outside,) = (changes(store, name) for name in ("core_order", "surface_order"))
    assert core[0] == pytest.approx(arrives, abs=2)
    assert outside[0] == pytest.approx(arrives, abs=2)
    assert outside[1] < core[1] - 4
    ((_, gone),) = changes(store, "fraction_fcc")
    fcc = open_results(store)["phases"].fraction.values[:, 1]
    assert gone == pytest.approx(np.flatnonzero(fcc > 0.01)[-1], abs=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_order_that_comes_back_from_the_core_is_found_where_it_was_lost(
    from_outside: np.ndarray, tmp_path: Path
) -> None:
    ahead, back = tmp_path / "ahead", tmp_path / "back"
    for folder in (ahead, back):
        folder.mkdir()
    lost, won = run(ahead, from_outside), run(back, from_outside[::-1])
    for name in ("core_order", "fraction_fcc", "fraction_disordered"):
        ((start, stop),) = changes(lost, name)
        ((begins, ends),) = changes(won, name)
        assert (80 - ends, 80 - begins) == pytest.approx((start, stop), abs=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_warm_crystals_have_no_change(tmp_path: Path) -> None:
    sites = simulate.nanocrystal(14.0).positions
    # At 600 K two atoms of an edge leave their places by 1 angstrom for ten frames and return, which is a change.
    frames = dynamics(sites, lambda frame, r: 400.0, 4000, 25, seed=5)
    found = open_results(run(tmp_path, frames))
    changed = []
    for quantity in phases.QUANTITIES:
        group, _, name = quantity.variable.path.partition("/")
        values = found[group][name].values.astype(float)
        series = values if quantity.kind is None else values[:, quantity.kind]
        for k in range(100):
            piece = series[40 * k : 40 * (k + 1)]
            changed += [(quantity.name, k) for _ in quantity.changes(piece)]
    assert changed == []


@pytest.mark.golden
def test_of_two_published_structures_it_names_what_differs(reference: Path, tmp_path: Path) -> None:
    config = {
        "input": {"path": str(reference / "data" / "stage*_docked_ATMS.pdb")},
        "output": str(tmp_path / "stages.zarr"),
        "analyses": {"phases": {}},
        "cluster": {"kind": "inline"},
        "limits": {"isolate": False},
    }
    tree = open_results(sd.run(config))
    said = sentence(tmp_path / "stages.zarr")
    first, last = tree["frames"].n_atoms.values
    assert f"the number of atoms falls ({first} to {last})" in said
    diameter = tree["particle"].diameter.values
    assert f"({diameter[0]:.3g} to {diameter[1]:.3g} Å)" in said
    core, error = tree["phases"].core_order.values, tree["phases"].core_order_err.values
    assert (abs(core[1] - core[0]) > 3 * np.hypot(*error)) == ("crystallinity of the core" in said.partition(";")[0])
    assert "Fewer than 8 frames" in said


def test_a_difference_within_its_error_is_said_to_remain() -> None:
    core = next(quantity for quantity in phases.QUANTITIES if quantity.variable == phases.CORE_ORDER)
    values = np.array([0.8, 0.85])
    uncertain, certain = (Series(core, values, np.full(2, error), []) for error in (0.02, 0.002))
    assert f"nothing changes; the {core.text} remains within 3 standard errors or 2 %" in summary([uncertain])
    assert f"the {core.text} rises (0.80 to 0.85)" in summary([certain])
