"""What is done with frames behind the fence: a run is loaded, then its frames are analysed one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemdask.analyses.evaluation import FrameResult, evaluate, failed, message_of, message_of_several
from stemdask.errors import StemdaskError
from stemdask.fence import inside
from stemdask.model import Array, Plan
from stemdask.planning import plan_file as plan_files
from stemdask.store.constants import read_constants
from stemdask.store.layout import plan_file


@dataclass
class _Run:
    """The run that was loaded."""

    plan: Plan
    prepared: Mapping[str, Array]


_run: _Run | None = None


def load(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Load the plan and the constants of a store, and limit this process to what its frames may take.

    A frame that is known to be good is analysed, so that this process has loaded and compiled what frames need.
    """
    global _run
    plan = plan_files.load(plan_file(given["store"]))
    _run = _Run(plan, read_constants(plan))
    inside.limit_memory(plan.limits.memory)
    if given["good_frame"] is not None:
        evaluate(plan.source, plan.steps, _run.prepared, given["good_frame"])
    return {}, {}


def analyse(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Analyse one frame, whose index is given, beyond the stored results among the arrays."""
    return message_of(_analysed(given["index"], arrays))


def analyse_each(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Analyse frames, whose indices are given, as far as they have results."""
    found: list[FrameResult] = []
    for index in given["indices"]:
        result = _analysed(index, {})
        if not result.is_done:
            break
        found.append(result)
    return message_of_several(found)


def _analysed(index: int, stored: Mapping[str, Array]) -> FrameResult:
    assert _run is not None
    try:
        return evaluate(_run.plan.source, _run.plan.steps, _run.prepared, index, stored)
    except StemdaskError:
        raise
    except BaseException as error:  # noqa: BLE001 - not even an interrupt of its own making may end the helper
        return failed(f"{type(error).__name__}: {error}")
