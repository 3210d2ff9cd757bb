"""From a config to the plan of a run: frames, steps, sizes of every dimension, blocks and what they cost."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stemdask._version import __version__
from stemdask.analyses import chain, registry
from stemdask.config import keys as configs
from stemdask.errors import ConfigError, FrameError, InputError, StemdaskError
from stemdask.model import RAGGED, Array, AtomsFrame, Block, Frame, Kind, Limits, Plan, Source, Step
from stemdask.planning import calibration
from stemdask.sources import opening
from stemdask.sources.atoms_source import AtomsSource

#: Pixels or atoms in a block: long enough that the scheduler's 5-7 ms a block don't count, short enough to redo.
BLOCK_SIZE = {"images": 4_000_000, "atoms": 200_000}
#: A run of few frames is still cut into this many blocks, so that several workers share it.
LEAST_BLOCKS = 16
#: Frames tried at planning; the capacity of a ragged dimension comes from them.
TRIED = 3
HEAD_ROOM = 1.25


@dataclass(frozen=True, slots=True)
class Resolved:
    """A config against its input: what will be done, before any frame is read."""

    source: Source
    steps: tuple[Step, ...]
    config: configs.Config
    text: str
    """The resolved config as YAML."""
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What was learnt from a few frames."""

    prepared: dict[str, Array]
    """Constants that the analyses prepared, by path."""
    sizes: dict[str, int]
    """Largest length of each dimension seen."""
    exact: bool
    """Every frame was tried, so the sizes need no head-room."""
    seconds: float
    """Time of a frame, without the first one's compilation."""
    frame_bytes: int
    """Bytes of a frame's input."""


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
    """With one worker."""


def resolve(document: configs.Document) -> Resolved:
    """Check a config against its input.

    Raises
    ------
    ConfigError
        With every problem found, each with its line.
    InputError
        Where only the input fails.
    """
    config, problems = configs.validate(document)
    source, failure = _open(config, document)
    kind = source.kind if source is not None else _guessed(document)
    defaults = registry.defaults(source) if source is not None else None
    steps, more = configs.steps(document, kind, defaults) if kind is not None else ((), [])
    problems += more
    if source is not None and not steps and not problems:
        problems = [document.problem(("analyses",), "names no analysis")]
    if problems:
        problems += [document.problem(("input", "path"), str(failure))] if failure is not None else []
        raise ConfigError(_count(problems), where=document.name, problems=problems)
    if config is None or source is None:
        raise failure or InputError("the input can't be read", where=document.name)
    if config.input.calibrate_from is not None and source.kind == "images":
        size = calibration.pixel_size(source, config.input.calibrate_from.a)
        calibrated = config.input.model_copy(update={"pixel_size": size, "calibrate_from": None})
        config = config.model_copy(update={"input": calibrated})
        source = _open(config, document)[0] or source
    text = configs.to_yaml(config, steps)
    return Resolved(source, steps, config, text, _fingerprint(source, steps, config))


def survey(resolved: Resolved) -> Survey:
    """Prepare the constants and try a few frames.

    Raises
    ------
    InputError
        Where none of the frames tried can be analysed; says why of the first.
    """
    source, steps = resolved.source, resolved.steps
    prepared = chain.prepare(source.kind, steps, _Frames(source))
    sizes: dict[str, int] = {}
    for variable in chain.declared(source.kind, steps, "prepare"):
        sizes.update(_lengths(variable.dims, prepared[variable.path]))
    tried, seconds, frame_bytes, failures = 0, math.inf, 0, []
    for index in _spread(source.n_frames):
        start = time.perf_counter()
        try:
            frame = source.read(index)
            frame.results.update(prepared)
            arrays = chain.analyse(source.kind, steps, frame)
        except (InputError, FrameError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            failures.append(f"frame {index}: {error}")
            continue
        seconds = min(seconds, time.perf_counter() - start)
        frame_bytes = max(frame_bytes, _nbytes(frame))
        for variable in chain.declared(source.kind, steps, "run"):
            for dim, n in _lengths(variable.dims[1:], arrays[variable.path]):
                sizes[dim] = max(sizes.get(dim, 0), n)
        tried += 1
        if tried == TRIED:
            break
    if not tried:
        raise InputError(
            "none of the frames tried could be analysed",
            where=resolved.config.input.path,
            value=failures[0],
            remedy="Mend the input or the analyses, or choose other frames with input.frames",
        )
    return Survey(prepared, sizes, tried == source.n_frames, seconds, frame_bytes)


def draw(resolved: Resolved, survey: Survey, store: Path) -> Plan:
    """Return the plan: sizes with head-room, blocks, limits. The same frames and config give the same plan."""
    config, source = resolved.config, resolved.source
    sizes = {"frame": source.n_frames} | {
        dim: _capacity(n, survey.exact) if dim in RAGGED else n for dim, n in survey.sizes.items()
    }
    if isinstance(source, AtomsSource):
        sizes["atom"] = max(1, int(source.n_atoms.max()))  # known from the index, without reading the frames
    cost = sizes.get("atom") or max(survey.frame_bytes // 4, 1)
    shared = math.ceil(source.n_frames / LEAST_BLOCKS)
    automatic = max(1, min(BLOCK_SIZE[source.kind] // max(cost, 1), shared))
    limits = config.limits
    return Plan(
        source=source,
        steps=resolved.steps,
        sizes=sizes,
        block_frames=automatic if config.block_frames == "auto" else config.block_frames,
        store=str(store),
        limits=Limits(
            seconds=max(60.0, 20 * survey.seconds) if limits.frame_seconds == "auto" else limits.frame_seconds,
            memory=max(2 * 2**30, 100 * survey.frame_bytes) if limits.frame_memory == "auto" else limits.frame_memory,
            isolate=limits.isolate,
            max_failed=limits.max_failed,
        ),
        fingerprint=resolved.fingerprint,
        config=resolved.text,
        calibrated=getattr(source, "calibrated", True),
    )


def blocks(plan: Plan) -> tuple[Block, ...]:
    """Return the blocks of a plan; they partition its frames."""
    starts = range(0, plan.source.n_frames, plan.block_frames)
    return tuple(
        Block(i, start, min(start + plan.block_frames, plan.source.n_frames)) for i, start in enumerate(starts)
    )


def estimate(plan: Plan, survey: Survey) -> Estimate:
    """Return what the run will take."""
    variables = chain.declared(plan.source.kind, plan.steps)
    per_frame = sum(
        np.dtype(v.dtype).itemsize * math.prod(plan.sizes[d] for d in v.dims[1:])
        for v in variables
        if v.stage == "run" and v.dims[:1] == ("frame",)
    )
    n_blocks = len(blocks(plan))
    return Estimate(
        frames=plan.source.n_frames,
        blocks=n_blocks,
        worker_bytes=500 * 2**20 + 8 * survey.frame_bytes + 2 * plan.block_frames * per_frame,
        store_bytes=plan.source.n_frames * per_frame,
        files=n_blocks * (len(variables) + 6) + len(variables) + 12,
        minutes=plan.source.n_frames * survey.seconds / 60,
    )


def save(plan: Plan, path: Path) -> None:
    """Write a plan as JSON."""
    data = {
        "source": {"kind": plan.source.kind, **plan.source.model_dump(mode="json")},  # type: ignore[attr-defined]
        "steps": {step.name: step.params.model_dump(mode="json") for step in plan.steps},
        "sizes": dict(plan.sizes),
        "block_frames": plan.block_frames,
        "store": plan.store,
        "limits": {name: getattr(plan.limits, name) for name in Limits.__slots__},
        "fingerprint": plan.fingerprint,
        "config": plan.config,
        "calibrated": plan.calibrated,
    }
    path.write_text(json.dumps(data))


def load(path: Path) -> Plan:
    """Read a plan back; raise StemdaskError where it isn't one of this version."""
    try:
        data = json.loads(path.read_text())
        source = opening.source_from(data.pop("source"))
        steps = tuple(
            Step(name, registry.get(source.kind, name).params.model_validate(params))
            for name, params in data.pop("steps").items()
        )
        return Plan(source=source, steps=steps, limits=Limits(**data.pop("limits")), **data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StemdaskError(f"the plan can't be read: {error}", where=path, remedy="Run again with --fresh") from error


def _open(config: configs.Config | None, document: configs.Document) -> tuple[Source | None, InputError | None]:
    if config is None:
        paths = _input(document).get("path")
        options: dict[str, Any] = {}
    else:
        paths = config.input.path
        options = config.input.model_dump(exclude={"path", "calibrate_from"})
    if not isinstance(paths, str | list):
        return None, None
    try:
        return opening.open_source(paths, **options), None
    except InputError as error:
        return None, error


def _guessed(document: configs.Document) -> Kind | None:
    kind = _input(document).get("kind")
    return kind if kind in ("images", "atoms") else opening.guess_kind(_input(document).get("path"))


def _input(document: configs.Document) -> dict[str, Any]:
    section = document.data.get("input")
    return section if isinstance(section, dict) else {}


class _Frames(Sequence[Frame]):
    """The frames of a source, read when asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return self._source.n_frames

    def __getitem__(self, index: int) -> Frame:  # type: ignore[override]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._source.read(index % len(self))


def _fingerprint(source: Source, steps: Sequence[Step], config: configs.Config) -> str:
    described: dict[str, Any] = {
        "version": __version__,
        "input": source.identity(),
        "options": config.input.model_dump(mode="json", exclude={"path"}),
        "steps": {step.name: step.params.model_dump(mode="json") for step in steps},
        "block_frames": config.block_frames,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()


def _spread(n: int) -> list[int]:
    """Return frames to try: first, middle and last, and some more in case these are bad."""
    return list(dict.fromkeys(round(x * (n - 1)) for x in (0, 0.5, 1, 0.25, 0.75, 0.1, 0.4, 0.6, 0.9)))


def _capacity(n: int, exact: bool) -> int:
    return max(n, 1) if exact else 16 * math.ceil((HEAD_ROOM * n + 1) / 16)


def _lengths(dims: Sequence[str], array: Array) -> list[tuple[str, int]]:
    return list(zip(dims, np.shape(array), strict=True))


def _nbytes(frame: Frame) -> int:
    return int(frame.positions.nbytes if isinstance(frame, AtomsFrame) else frame.pixels.nbytes)


def _count(problems: Sequence[str]) -> str:
    return f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
