"""What a plan says of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stemdask import simulate
from stemdask.config.document import Document
from stemdask.planning.estimate import Estimate, estimate
from stemdask.planning.plan import draw
from stemdask.planning.resolve import resolve
from stemdask.planning.survey import Survey, _seconds, survey

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Survey]:
    folder = tmp_path_factory.mktemp("planned")
    trajectory = simulate.trajectory(simulate.nanocrystal(12.0), 5, sigma=0.05, seed=1)
    with (folder / "atoms.xyz").open("w") as file:
        for frame in map(trajectory.read, range(5)):
            file.write(f"{len(frame.positions)}\n\n")
            file.writelines(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in frame.positions)
    data = {"input": {"path": str(folder / "atoms.xyz")}, "output": str(folder / "a.zarr"), "analyses": {"rdf": {}}}
    resolved = resolve(Document(data))
    tried = survey(resolved)
    return draw(resolved, tried, folder / "a.zarr"), tried


def _said(planned: tuple[Any, Survey], after: float = 0.0, *, apart: bool = False, **changes: Any) -> Estimate:
    plan, tried = planned
    return estimate(plan, replace(tried, **changes), after, apart=apart)


def test_frames_that_are_tried_tell_the_time_and_the_memory(planned: tuple[Any, Survey]) -> None:
    tried = planned[1]
    assert 0 < tried.seconds < 10
    assert 30 * 2**20 < tried.memory < 2**30


def test_time_grows_with_that_of_a_frame(planned: tuple[Any, Survey]) -> None:
    short, long = (_said(planned, seconds=seconds, once_seconds=0.0).minutes for seconds in (1.0, 61.0))
    assert long - short == pytest.approx(5.0), "a minute more for each of five frames"


def test_what_comes_once_after_is_added(planned: tuple[Any, Survey]) -> None:
    assert _said(planned, 90.0).minutes - _said(planned).minutes == pytest.approx(1.5)


def test_a_worker_in_a_process_of_its_own_starts_longer(planned: tuple[Any, Survey]) -> None:
    assert _said(planned, apart=True).minutes > _said(planned).minutes


def test_memory_is_that_of_the_frames_that_were_tried(planned: tuple[Any, Survey]) -> None:
    some, more = (_said(planned, memory=memory).worker_bytes for memory in (2**28, 2**29))
    assert more - some == 2**28


def test_where_memory_is_not_counted_it_follows_the_frames(planned: tuple[Any, Survey]) -> None:
    some, more = (_said(planned, memory=0, frame_bytes=n).worker_bytes for n in (2**20, 2**21))
    assert more - some == 8 * 2**20


@pytest.mark.parametrize(
    ("own", "found"), [([3.0], (3.0, 0.0)), ([3.0, 1.0], (1.0, 2.0)), ([1.0, 2.0, 4.0], (3.0, 0.0))]
)
def test_what_the_first_frame_loads_is_told_apart(own: list[float], found: tuple[float, float]) -> None:
    assert _seconds(own) == found
