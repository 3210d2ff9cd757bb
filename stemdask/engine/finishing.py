"""What comes once after, over all frames: behind the fence, one analysis at a time, and only those not done yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from stemdask.analyses import registry
from stemdask.errors import FrameError, InputError, StemdaskError, StorageError
from stemdask.fence import inside
from stemdask.fence.fence import Died, Overdue, Raised, lent
from stemdask.model import Array, Plan, Step
from stemdask.planning import plan_file as plan_files
from stemdask.results.stack import StoreStack
from stemdask.store import disk, layout

#: Time between two reads or writes of what comes once after, s; besides the time that its frames may take.
_SECONDS = 3600.0


def finish(plan: Plan, step: Step, made_of: str, give_up: Callable[[], bool]) -> None:
    """Do what an analysis does once after, from results of this hash; the frames are kept whatever becomes of it.

    Raises
    ------
    StemdaskError
        Says which analysis failed, and how.
    StorageError
        The file system refused a write.
    InterruptedError
        It was given up.
    """
    try:
        if not plan.limits.isolate:
            with disk.refusals_in_words(Path(plan.store)):
                _finish(plan, step, made_of)
            return
        seconds = _SECONDS + plan.limits.seconds * plan.source.n_frames
        with lent(give_up) as fence:
            given = {"store": plan.store, "step": step.name, "made_of": made_of}
            fence.ask("stemdask.engine.finishing:finished", given, seconds=seconds)
    except (StorageError, InterruptedError):
        raise
    except Overdue:
        raise _failed(plan, step, f"took longer than {seconds:g} s") from None
    except Died as death:
        raise _failed(plan, step, death.cause()) from None
    except Raised as error:
        raise _failed(plan, step, str(error)) from None
    except (FrameError, InputError) as error:
        raise _failed(plan, step, str(error)) from error
    except StemdaskError:
        raise
    except Exception as error:
        raise _failed(plan, step, f"{type(error).__name__}: {error}") from error


def finished(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[None, dict[str, Array]]:
    """Do what an analysis does once after, behind the fence."""
    plan = plan_files.load(layout.plan_file(given["store"]))
    step = next(step for step in plan.steps if step.name == given["step"])
    # It reads what many frames gave: half of the machine, and no limit of the files that it writes.
    inside.limit_memory(max(plan.limits.memory, psutil.virtual_memory().total // 2), files=False)
    with disk.refusals_in_words(Path(plan.store)):
        _finish(plan, step, given["made_of"])
    return None, {}


def _finish(plan: Plan, step: Step, made_of: str) -> None:
    finish_step = registry.get(plan.source.kind, step.name).finish
    stack = StoreStack(plan)
    stack.forget(step)
    if finish_step is not None:
        finish_step(stack, step.params)
    stack.commit(step, made_of)


def _failed(plan: Plan, step: Step, how: str) -> StemdaskError:
    return StemdaskError(
        f"'{step.name}' failed over all frames: {how}",
        where=plan.store,
        remedy="The frames are complete and kept; run again to repeat only this step",
    )
