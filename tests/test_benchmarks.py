"""What makes the tables of docs/accuracy.md runs with the code that there is."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from stemdask import pack, run
from stemdask.simulate import perovskite

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
pytestmark = pytest.mark.long


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def test_the_gate_passes_a_crystal_whose_columns_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = perovskite((160, 160), 14.0, electrons_a=3000.0, electrons_b=1500.0, seed=1)
    judged = benchmark("gate", monkeypatch).judge(image, truth.positions)
    assert (judged.precision, judged.verdict) == (1.0, "passed")


def test_a_projection_is_drawn_with_its_columns_and_judged_right(monkeypatch: pytest.MonkeyPatch) -> None:
    projections = benchmark("projections", monkeypatch)
    places, heights = projections.project(projections.CRYSTALS["SrTiO₃"], [0, 0, 1], 40.0)
    strontium = places[heights > 0.9 * heights.max()]
    near = np.sort(np.hypot(*(strontium - strontium[np.argmin(np.hypot(*strontium.T))]).T))
    assert near[1:5] == pytest.approx(3.905)
    assert np.sort(np.unique(np.round(heights / heights.max(), 3)))[-2] == pytest.approx(
        (22**1.7 + 8**1.7) / 38**1.7, abs=1e-3
    )
    drawn = projections.draw(projections.CRYSTALS["SrTiO₃"], [0, 0, 1], 1)
    assert projections.verdicts(drawn)[0] == "right"
    assert list(projections.contrasts(drawn.image)) == ["right", "right"]


def test_maps_of_two_domains_are_measured_and_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = benchmark("maps", monkeypatch)
    side = 8 * maps.SPACING
    found = maps.measure([maps.wall(side)] * 3, "180°", 8, 200.0, still=True, seed=1)
    number, label = maps.divided(found.memory())
    assert number == 2
    assert found.right(label) > 0.9


def test_displacements_in_opposite_domains_have_the_right_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    vector, truth, error = benchmark("unmodelled", monkeypatch).measured("nothing", 4.2, 0)
    assert len(vector) == len(error) == len(truth) > 50
    assert np.sum(vector * truth) / np.sum(truth**2) == pytest.approx(1.0, abs=0.02)


def test_a_column_of_gaussians_is_found_where_it_is_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    x, y = np.indices((80, 80)) * 0.1

    def columns(*places: tuple[float, float]) -> np.ndarray:
        away = [((x - left + 4) % 8 - 4, (y - top + 4) % 8 - 4) for left, top in places]
        return sum((np.exp(-0.5 * (dx**2 + dy**2) / 0.5**2) for dx, dy in away), np.zeros((80, 80)))

    a = columns(*((1 + 4 * i, 1 + 4 * j) for i in (0, 1) for j in (0, 1)))
    b = 0.4 * columns(*((3 + 4 * i, 3.2 + 4 * j) for i in (0, 1) for j in (0, 1)))
    images = {"all": a + b + 0.03, "noA": b + 0.03, "noB": a + 0.03}
    np.savez(tmp_path / "cell.npz", **images, sampling=[0.1, 0.1], a=4.0, c=4.0, dB=0.2)
    crystal = benchmark("column_images", monkeypatch).Crystal.read(str(tmp_path / "cell.npz"))
    np.testing.assert_allclose(crystal.alone()[0], [0.0, 20.0], atol=0.05)
    found, unsure = crystal.analysed()
    np.testing.assert_allclose(found, [0.0, 20.0], atol=0.5)
    assert unsure.max() < 1.0


def test_the_guard_tells_what_takes_a_quarter_more_than_before(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = benchmark("guard", monkeypatch)
    history = [{"ratios": {"run": ratio, "fit": 3.0}} for ratio in (9.0, 1.9, 2.0, 2.1, 2.0, 2.0)]
    assert guard.slower({"run": 2.45, "fit": 3.7, "new": 50.0}, history) == {}
    assert guard.slower({"run": 2.55, "fit": 3.7}, history) == {"run": pytest.approx(1.275)}


def test_work_that_is_done_twice_is_slower_to_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = benchmark("guard", monkeypatch)
    monkeypatch.setattr(guard, "cpu_time", lambda work: work())  # seconds as the works tell them

    def once() -> float:
        return 1.0

    before = {"work": guard.ratio(once, once)}
    slowed = {"work": guard.ratio(lambda: once() + once(), once)}
    assert guard.slower(slowed, [{"ratios": before}]) == {"work": 2.0}


def test_rows_of_the_page_on_costs_hold_their_spread_and_their_aim(monkeypatch: pytest.MonkeyPatch) -> None:
    performance = benchmark("performance", monkeypatch)
    text = performance.table([performance.Row("a run / its kernels", [3.0, 2.0, 7.0], "1.25", "6.00 s")], rounds=3)
    assert "| a run / its kernels | 3.00 | 2.00 – 7.00 | 1.25 | 6.00 s |" in text
    assert "3 rounds" in text
    assert (
        performance.Row("files", [68_012.0], "5,000", "1,000 blocks")
        .line()
        .startswith("| files | 68,012 | – | 5,000 |")
    )
    page = (BENCHMARKS.parent / "docs" / "performance.md").read_text()
    named = {*performance.ROWS, *performance.PEERS}
    assert [name for name in named if f"<!-- {name} -->" not in page or f"<!-- /{name} -->" not in page] == []


def test_a_driver_that_does_one_block_at_a_time_bounds_what_workers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = benchmark("scheduler", monkeypatch)
    costs = scheduler.Costs(driver=0.012, worker=0.0)
    assert scheduler.efficiency(100, 0.3, costs) == pytest.approx(0.3 / (100 * 0.012), rel=0.05)
    assert scheduler.efficiency(1, 30.0, costs) == pytest.approx(1.0, abs=0.01)


def test_a_store_has_as_many_files_as_its_layout_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store_files = benchmark("store_files", monkeypatch)
    stack = tmp_path / "stack.npy"
    store_files.images(stack, 3, 128)  # of three frames all are tried, so none is empty
    config = {"input": {"path": str(stack)}, "cluster": {"kind": "inline"}, "block_frames": 1}
    laid = store_files.laid_out(config | {"output": str(tmp_path / "laid.zarr")})
    store = run(config | {"output": str(tmp_path / "run.zarr")})
    assert (laid.blocks, laid.block_frames) == (3, 1)
    assert laid.files == sum(path.is_file() for path in store.rglob("*"))
    assert laid.packed == pack(store).after < laid.files


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_files_of_a_slow_folder_are_waited_for_and_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    many_files = benchmark("many_files", monkeypatch)
    for name in ("slow", "quick"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("some text")
    late = many_files.late(tmp_path / "slow", 50.0, tmp_path)
    read = "import sys, time; start = time.perf_counter(); open(sys.argv[1]).read(); print(time.perf_counter() - start)"

    def seconds(name: str) -> float:
        command = [sys.executable, "-c", read, str(tmp_path / name / "file")]
        return float(subprocess.check_output(command, env=os.environ | late, text=True))

    assert many_files.counted(tmp_path) == 0
    slow = seconds("slow")
    operations = many_files.counted(tmp_path)
    assert operations == 2  # it is opened, and read once
    assert operations * 0.05 <= slow
    seconds("quick")
    assert many_files.counted(tmp_path) == operations


def test_an_alteration_moves_columns_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    alterations = benchmark("alterations", monkeypatch)
    image, truth = perovskite((200, 240), 20.0, sigma_a=2.5, sigma_b=2.5, seed=1)
    image = np.clip((image - image.min()) / np.ptp(image), 0, 1)
    places = truth.positions[truth.inside & (truth.sublattice == 0)]
    at = np.round(places).astype(int)
    usual = np.median(image[at[:, 0], at[:, 1]])
    for each in alterations.ALTERATIONS:
        if each.name.startswith(("equalised", "Bragg", "2 electrons", "brightness", "without")):
            continue  # values of another kind
        altered, left = each.alter(image), each.left(image.shape)
        moved = np.round(each.move(places, image.shape)).astype(int)
        there = ((moved >= 0) & (moved < altered.shape)).all(axis=1)
        there[there] = left[tuple(moved[there].T)] > 14 * each.scale
        level = altered[tuple(moved[there].T)]
        assert np.count_nonzero(there) > 15, each.name
        # Bright where columns are expected, and not half a cell beside.
        beside = altered[tuple((moved[there] + np.array([0, round(5 * each.scale)])).T)]
        assert np.median(level) > np.percentile(altered, 80), each.name
        assert np.median(level) > 1.2 * np.median(beside), each.name
    assert usual > 0.5


def test_an_altered_image_is_judged_by_what_is_found_where(monkeypatch: pytest.MonkeyPatch) -> None:
    alterations = benchmark("alterations", monkeypatch)
    expected = np.stack(np.meshgrid(np.arange(10, 100, 10.0), np.arange(10, 100, 10.0)), axis=-1).reshape(-1, 2)
    left = np.full((110, 110), 20.0)
    right = alterations.Found("", expected + 1.0)
    assert alterations.judged(right, expected, left, 10.0) == "right"
    some = alterations.Found("", expected[::2])
    assert alterations.judged(some, expected, left, 10.0) == "0.51 / 1.00"
    assert alterations.judged(some._replace(said="columns may be missing"), expected, left, 10.0) == "marked"
    assert alterations.judged(alterations.Found("no lattice", expected[:0]), expected, left, 10.0) == "refused"
    left[:, 50:] = 0.0  # what is cut off isn't expected
    here = alterations.Found("", expected[expected[:, 1] < 50])
    assert alterations.judged(here, expected, left, 10.0) == "right"
