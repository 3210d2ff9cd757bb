"""What makes the tables of docs/accuracy.md runs with the code that there is."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

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
