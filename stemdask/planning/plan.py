"""The plan of a run: the length of every dimension, the blocks, and what a frame may take."""

from __future__ import annotations

import math
from pathlib import Path

from stemdask.model import RAGGED, Block, Kind, Limits, Plan
from stemdask.planning.resolve import Resolved
from stemdask.planning.survey import Survey
from stemdask.sources.atoms.source import AtomsSource

#: Pixels or atoms in a block, at least and at most: long enough that what the driver does for each block doesn't count,
#: short enough to redo and to be held by a worker.
BLOCK_SIZE = {"images": (4_000_000, 36_000_000), "atoms": (200_000, 1_000_000)}
#: A run of few frames is still cut into this many blocks, so that several workers share it.
LEAST_BLOCKS = 16
#: From as many blocks on these grow instead: each costs the driver some 10 ms, and a file for each variable.
MANY_BLOCKS = 1000
HEAD_ROOM = 1.25


def draw(resolved: Resolved, survey: Survey, store: Path) -> Plan:
    """Return the plan: sizes with head-room, blocks, limits. The same frames and config give the same plan."""
    config, source = resolved.config, resolved.source
    sizes = {"frame": source.n_frames} | {
        dim: _capacity(n, survey.exact) if dim in RAGGED else n for dim, n in survey.sizes.items()
    }
    if isinstance(source, AtomsSource):
        sizes["atom"] = max(1, int(source.n_atoms.max()))  # known from the index, without reading the frames
    cost = sizes.get("atom") or max(survey.frame_bytes // 4, 1)
    automatic = frames_of_block(source.kind, source.n_frames, max(cost, 1))
    return Plan(
        source=source,
        steps=resolved.steps,
        sizes=sizes,
        block_frames=automatic if config.block_frames == "auto" else config.block_frames,
        store=str(store),
        limits=_limits(resolved, survey),
        fingerprint=resolved.fingerprint,
        config=resolved.text,
        config_as_written=resolved.written,
        calibrated=getattr(source, "calibrated", True),
        analysis_hashes=resolved.analysis_hashes,
        frame_seconds=survey.seconds,
    )


def blocks(plan: Plan) -> tuple[Block, ...]:
    """Return the blocks of a plan; they partition its frames."""
    starts = range(0, plan.source.n_frames, plan.block_frames)
    return tuple(
        Block(i, start, min(start + plan.block_frames, plan.source.n_frames)) for i, start in enumerate(starts)
    )


def frames_of_block(kind: Kind, n_frames: int, cost: int) -> int:
    """Return the frames of a block; by their size alone, so that every machine lays out the same store.

    Parameters
    ----------
    kind, n_frames
        Of the frames.
    cost
        Pixels or atoms of a frame.
    """
    least, most = BLOCK_SIZE[kind]
    size = min(max(n_frames * cost // MANY_BLOCKS, least), most)
    return max(1, min(size // cost, math.ceil(n_frames / LEAST_BLOCKS)))


def _limits(resolved: Resolved, survey: Survey) -> Limits:
    asked = resolved.config.limits
    return Limits(
        seconds=max(60.0, 20 * survey.seconds) if asked.frame_seconds == "auto" else asked.frame_seconds,
        memory=max(2 * 2**30, 100 * survey.frame_bytes) if asked.frame_memory == "auto" else asked.frame_memory,
        isolate=asked.isolate,
        max_failed=asked.max_failed,
    )


def _capacity(n: int, exact: bool) -> int:
    return max(n, 1) if exact else 16 * math.ceil((HEAD_ROOM * n + 1) / 16)
