"""Which workers a run gets where its config leaves that open."""

from __future__ import annotations

import math

import pytest

from stemdask.config import clusters as kinds
from stemdask.engine.pools import settled
from stemdask.model import Limits, Plan

LIMITS = Limits(seconds=60.0, memory=2**31, isolate=True, max_failed=0.5)


def plan(frame_seconds: float, *, isolate: bool = True) -> Plan:
    limits = Limits(LIMITS.seconds, LIMITS.memory, isolate, LIMITS.max_failed)
    return Plan(None, (), {}, 2, "s.zarr", limits, "f", "c", frame_seconds=frame_seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frames", "seconds", "isolate", "kind", "workers"),
    [
        (1, 1.0, True, "inline", None),
        (1, 1000.0, True, "inline", None),  # one block keeps one worker at work
        (9, 1.0, True, "inline", None),
        (100, 1.0, True, "threads", 4),
        (6, 10.0, True, "threads", 3),
        (100, 1.0, False, "processes", 4),  # without helpers threads wait for each other
        (10_000, 0.005, True, "processes", 4),  # more than one process can write
        (2_600, 0.005, True, "inline", None),  # four processes would save less than their start takes
        (4, math.inf, True, "threads", 2),
    ],
)
def test_workers_follow_the_work(frames: int, seconds: float, isolate: bool, kind: str, workers: int | None) -> None:
    found, why = settled(kinds.Auto(workers=4), plan(seconds, isolate=isolate), frames)
    assert (found.kind, getattr(found, "workers", None)) == (kind, workers)
    assert kind in why
    assert "work" in why


def test_a_kind_that_the_config_names_is_kept() -> None:
    asked = kinds.Processes(kind="processes", workers=2)
    assert settled(asked, plan(0.001), 1) == (asked, "")


@pytest.mark.parametrize(
    ("seconds", "said"), [(3.14159, "3.1 s"), (310.0, "5 min"), (5999.0, "100 min"), (36_000.0, "10 h")]
)
def test_work_is_said_as_one_reads_it(seconds: float, said: str) -> None:
    assert settled(kinds.Auto(workers=1), plan(seconds), 1)[1] == f"inline, for {said} of work"


def test_frames_that_planning_analysed_are_no_work() -> None:
    found, why = settled(kinds.Auto(workers=4), plan(1000.0), 0)
    assert found.kind == "inline"
    assert why == "inline, all frames were analysed during planning"
