"""What is there before the first block: a store that fits the plan, and the blocks that a run shall do."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stemdask.analyses import chain
from stemdask.analyses.evaluation import FrameResult
from stemdask.engine.inputs import check_input
from stemdask.errors import ConfigError, StemdaskError, StoreError
from stemdask.model import Block, FrameStatus, Plan
from stemdask.planning import plan_file as plan_files
from stemdask.planning.plan import blocks as blocks_of
from stemdask.planning.plan import draw
from stemdask.planning.resolve import Resolved
from stemdask.planning.survey import survey as survey_of
from stemdask.results.recall import Held
from stemdask.sources.frame_range import parse_range
from stemdask.store import constants, grow, layout, metadata, place, statuses
from stemdask.store.extend import extend
from stemdask.store.pack import unpack

log = logging.getLogger(__name__)


def set_up(
    resolved: Resolved, store: Path, *, retry: str | None, fresh: bool, sweep: bool
) -> tuple[Plan, Mapping[int, FrameResult]]:
    """Lay out the store or continue the one that is there.

    Parameters
    ----------
    resolved
        The config against its input.
    store
        Absolute path.
    retry
        Status whose blocks are to be processed again.
    fresh
        Put a store that is there out of the way.
    sweep
        Remove what killed writers left; only where no other run is at work.

    Returns
    -------
    plan
        That fits the store.
    known
        Results of frames that were tried at planning.

    Raises
    ------
    StoreError
        The store that is there belongs to another config or input.
    """
    place.recover(store, sweep=sweep)
    known: Mapping[int, FrameResult] = {}
    if place.is_taken(store) and fresh:
        log.info("kept the old store as %s", place.move_aside(store))
    if place.is_taken(store):
        plan, known = _continued(resolved, store, alone=sweep, retry=retry)
    else:
        survey = survey_of(resolved)
        plan, known = draw(resolved, survey, store), survey.tried
        place.install(lambda path: layout.create(plan, survey.prepared, path), store)
    if retry == "overflow":
        plan = grow.make_room(plan)
    if retry == "failed":
        _set_pending(plan, FrameStatus.FAILED)
    plan_files.save(plan, layout.plan_file(store))
    resolved.looks.save(store)
    return plan, known


def _continued(
    resolved: Resolved, store: Path, *, alone: bool, retry: str | None
) -> tuple[Plan, Mapping[int, FrameResult]]:
    """Return the plan of a store that is there, with its sizes and the limits of the config, and what was tried."""
    known: Mapping[int, FrameResult] = {}
    try:
        # It may have been moved or copied since.
        stored = dataclasses.replace(plan_files.load(layout.plan_file(store)), store=str(store))
    except StemdaskError:  # the run directory is gone, or of another version
        stored = None
    check_input(stored.source if stored is not None else None, resolved.source, store)
    if stored is not None and alone:
        stored, known = _extended(resolved, stored)
    place.check_same(store, resolved.fingerprint, resolved.text)
    if _is_to_be_written(store, retry):
        unpack(store)
    if stored is None:
        stored = draw(resolved, survey_of(resolved), store)
    wanted = resolved.config.limits
    limits = dataclasses.replace(
        stored.limits,
        isolate=wanted.isolate,
        max_failed=wanted.max_failed,
        seconds=stored.limits.seconds if wanted.frame_seconds == "auto" else wanted.frame_seconds,
        memory=stored.limits.memory if wanted.frame_memory == "auto" else wanted.frame_memory,
    )
    plan = dataclasses.replace(
        stored,
        source=resolved.source,
        steps=resolved.steps,
        store=str(store),
        limits=limits,
        fingerprint=resolved.fingerprint,
        config=resolved.text,
        config_as_written=resolved.written,
        analysis_hashes=resolved.analysis_hashes,
    )
    plan = layout.fitted(plan)
    layout.add_missing(plan)
    try:
        constants.read_constants(plan)
    except StoreError:
        constants.write_constants(plan, survey_of(resolved).prepared)
    return plan, known


def _is_to_be_written(store: Path, retry: str | None) -> bool:
    """Tell whether blocks, or what comes once after, are to be done: a packed store where neither is stays packed."""
    again = {FrameStatus.PENDING, *([FrameStatus[retry.upper()]] if retry else [])}
    state = metadata.attributes(store)["state"]
    return state != "complete" or bool(np.isin(statuses.read_statuses(store), list(again)).any())


def _extended(resolved: Resolved, stored: Plan) -> tuple[Plan, Mapping[int, FrameResult]]:
    """Return the plan of a store that was laid out anew for added or changed analyses, with what it holds of others.

    Where the same analyses are meant, or nothing of them stays, or one is left out, the store is left as it is. What
    the others take, and lengths that no result has which stays, are found by trying frames beyond what is stored.
    """
    before: Mapping[str, str] = metadata.attributes(Path(stored.store)).get(layout.ANALYSIS_HASH, {})
    now = resolved.analysis_hashes
    kept = [name for name in now if before.get(name) == now[name]]
    if not kept or len(kept) == len(now) or not before.keys() <= now.keys():
        return stored, {}
    kind = resolved.source.kind
    stays = dataclasses.replace(stored, steps=tuple(step for step in resolved.steps if step.name in kept))
    dims = {dim for variable in chain.declared(kind, stays.steps, "run") for dim in variable.dims}
    known_sizes = {dim: n for dim, n in stored.sizes.items() if dim in {"frame", *dims}}
    survey = survey_of(resolved, Held(stays))
    drawn = draw(resolved, survey, Path(stored.store))
    plan = dataclasses.replace(
        drawn,
        sizes={**drawn.sizes, **known_sizes},
        block_frames=stored.block_frames,
        # A frame of which nothing is left takes both.
        limits=dataclasses.replace(drawn.limits, seconds=drawn.limits.seconds + stored.limits.seconds),
    )
    new = [step.name for step in resolved.steps if step.name not in kept]
    event = f"keeps {', '.join(kept)}; does {', '.join(new)}"
    log.info(event)
    unpack(Path(stored.store))
    extend(stored, plan, kept, survey.prepared)
    layout.set_state(plan.store, "running", event)
    return plan, survey.tried


def _set_pending(plan: Plan, status: FrameStatus) -> None:
    found = statuses.read_statuses(plan.store)
    affected = [block for block in blocks_of(plan) if (found[block.start : block.stop] == status).any()]
    statuses.set_pending(plan.store, affected)


def chosen(plan: Plan, frames: str | None, blocks: str | None) -> Sequence[Block]:
    """Return the blocks of a part; frames must be those of whole blocks, since two runs may not share a chunk."""
    whole = blocks_of(plan)
    if blocks is not None:
        first, stop = _range(blocks, "--blocks", len(whole))
        whole = whole[first:stop]
    if frames is None:
        return whole
    size, n = plan.block_frames, plan.source.n_frames
    start, stop = _range(frames, "--frames", n)
    if start % size or (stop % size and stop != n):
        raise ConfigError(
            "a part must hold whole blocks",
            where="--frames",
            value=frames,
            allowed=f"multiples of {size}, for example {start // size * size}:{min(-(-stop // size) * size, n)}",
        )
    return [block for block in whole if start <= block.start < stop]


def _range(text: str, where: str, n: int) -> tuple[int, int]:
    try:
        start, stop, _ = parse_range(text).indices(n)
    except ValueError:
        start = stop = 0
    if start >= stop:
        raise ConfigError("not a part of the run", where=where, value=text, allowed=f"first:last+1 within 0:{n}")
    return start, stop
