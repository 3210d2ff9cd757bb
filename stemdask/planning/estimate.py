"""What a run will take: memory, disk, files and time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stemdask.analyses import chain
from stemdask.model import Plan
from stemdask.planning.plan import blocks
from stemdask.planning.survey import Survey

#: Bytes of a worker beside the process of its frames, of a driver that is the worker, and of worker and frames where
#: these couldn't be measured (`benchmarks/plan_numbers.py`).
WORKER, DRIVER, BOTH = 160 * 2**20, 80 * 2**20, 400 * 2**20
#: Seconds of a processor: of a driver and its worker until the first frame, and of a frame beside its analysis.
START, FRAME = 6.0, 0.001
#: Seconds more where the worker is a process of its own: what it, its helper and Dask in the driver import.
WORKER_START = 7.0
#: What the first frame loads is loaded by the driver, which tries frames, and by its worker.
LOADS = 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take."""

    frames: int
    blocks: int
    worker_bytes: int
    """Memory of a worker."""
    store_bytes: int
    """Size of the store before compression."""
    files: int
    minutes: float
    """With one worker, which has a processor to itself; without a report."""


def estimate(plan: Plan, survey: Survey, seconds_after: float, *, apart: bool) -> Estimate:
    """Return what the run will take.

    Parameters
    ----------
    plan, survey
        Of the run.
    seconds_after
        Time of what comes once after all frames, s.
    apart
        The worker is a process of its own.
    """
    variables = chain.declared(plan.source.kind, plan.steps)
    per_frame = sum(
        np.dtype(v.dtype).itemsize * math.prod(plan.sizes[d] for d in v.dims[1:])
        for v in variables
        if v.stage == "run" and v.dims[:1] == ("frame",)
    )
    n_blocks = len(blocks(plan))
    beside = WORKER if apart else DRIVER
    own = beside + survey.memory if survey.memory else BOTH + 8 * survey.frame_bytes
    start = START + (WORKER_START if apart else 0.0)
    frame_seconds = plan.source.n_frames * (survey.seconds + FRAME)
    return Estimate(
        frames=plan.source.n_frames,
        blocks=n_blocks,
        worker_bytes=own + 2 * plan.block_frames * per_frame,
        store_bytes=plan.source.n_frames * per_frame,
        files=n_blocks * (len(variables) + 6) + len(variables) + 12,
        minutes=(start + LOADS * survey.once_seconds + frame_seconds + seconds_after) / 60,
    )
