"""What comes once after all frames, rehearsed on the frames tried: how long it will take.

Each analysis has a law of its own: components of a whole stack, samples that stop growing, one image more for each
frame. So nothing is assumed but that the last two of some stacks, each twice as long, tell how it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stemdask.analyses import chain, registry
from stemdask.errors import InputError
from stemdask.fence import inside, spent
from stemdask.model import RAGGED, Array, Frame, Plan, Variable
from stemdask.planning.resolve import Resolved
from stemdask.planning.survey import Survey
from stemdask.planning.trial import Trial, allowed, has_compiled, loaded
from stemdask.store.layout import fill_value, units_of

#: Frames of the shortest stack, and seconds after which no longer one is tried but the second.
SHORTEST, ENOUGH = 4, 2.0
#: Seconds of a processor that a store takes where a stack in memory takes none: for a read, for each of its blocks, for
#: the write of a block, and for each analysis.
READ, BLOCK, WRITE, ANALYSIS = 0.0016, 0.0004, 0.0038, 0.12
_MODULE = "stemdask.planning.rehearsal"


def seconds_after(resolved: Resolved, plan: Plan, survey: Survey) -> float:
    """Return the time that comes once after takes with a processor to itself, s; 0 where it fails on the frames tried.

    Parameters
    ----------
    resolved, plan
        Of the run.
    survey
        Frames that were tried.
    """
    steps = [step.name for step in plan.steps if registry.get(plan.source.kind, step.name).finish is not None]
    if not steps:
        return 0.0
    seconds, memory = allowed(resolved.config.limits)
    arrays = {f"{index}/{path}": array for index, one in survey.tried.items() for path, array in one.values.items()}
    given = {
        "frames": list(survey.tried),
        "steps": steps,
        "n_frames": plan.source.n_frames,
        "block_frames": plan.block_frames,
        "sizes": dict(plan.sizes),
        "calibrated": plan.calibrated,
    }
    try:
        with Trial(plan.source, plan.steps, seconds=seconds, memory=memory) as trial:
            trial.prepare(survey.prepared)
            return float(trial.time(f"{_MODULE}:rehearse", given, arrays))
    except InputError:  # the run will say what is wrong with all of its frames
        return 0.0


def rehearse(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[list[Any], dict[str, Array]]:
    """Do what comes once after on longer and longer stacks; tell the time of the whole, and whether it compiled."""
    return [expected(*_took(given, arrays), given["n_frames"]), has_compiled()], {}


def expected(lengths: Sequence[int], seconds: Sequence[float], n_frames: int) -> float:
    """Return the time of a stack from those of shorter ones, of which the first also loads what all need.

    Parameters
    ----------
    lengths
        Of the stacks; the first two are the same.
    seconds
        That each took.
    n_frames
        Of the stack that is asked about.
    """
    once = max(0.0, seconds[0] - seconds[1])
    slope = 0.0
    if len(lengths) > 2:
        slope = max(0.0, (seconds[-1] - seconds[-2]) / (lengths[-1] - lengths[-2]))
    return once + seconds[-1] + slope * (n_frames - lengths[-1])


def _took(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[list[int], list[float]]:
    run, most = loaded(), given["n_frames"]
    length = min(SHORTEST, most)
    lengths: list[int] = []
    seconds: list[float] = []
    own: list[float] = []
    while True:
        stack = _Repeated(given, arrays, length)
        clock = spent.Clock()
        for step in run.steps:
            finish = registry.get(run.source.kind, step.name).finish
            if step.name in given["steps"] and finish is not None:
                finish(stack, step.params)
        lengths.append(length)
        own.append(clock.own())
        seconds.append(own[-1] + stack.seconds + ANALYSIS * len(given["steps"]))
        if len(lengths) > 1:
            if length == most or (len(lengths) > 2 and sum(own[1:]) > ENOUGH):
                return lengths, seconds
            length = min(2 * length, most)


class _Repeated:
    """A stack in memory, in which the frames tried come again and again; what is written stays in memory, too.

    Each time with other noise, as large as the standard errors say: equal frames have no noise to tell signals from.
    """

    def __init__(self, given: Mapping[str, Any], arrays: Mapping[str, Array], n_frames: int) -> None:
        run = loaded()
        self.seconds = 0.0
        """Time that a store would have taken."""
        self.n_frames = n_frames
        step = given["block_frames"]
        self.blocks: Sequence[slice] = [slice(start, min(start + step, n_frames)) for start in range(0, n_frames, step)]
        self._read, self._calibrated = run.source.read, given["calibrated"]
        self._tried: list[int] = given["frames"]
        self._of = np.arange(n_frames) % len(self._tried)
        self._constants, self._written = run.prepared, dict[str, Array]()
        declared = chain.declared(run.source.kind, run.steps, "run")
        own = {v.path: self._padded(v, arrays, given["sizes"])[self._of] for v in declared if v.dims[:1] == ("frame",)}
        rng = np.random.default_rng(0)
        for variable in declared:
            if variable.error in own and own[variable.path].dtype.kind == "f":
                errors = own[variable.error][len(self._tried) :]
                noise = rng.standard_normal(errors.shape) * np.nan_to_num(errors, posinf=0.0)
                own[variable.path][len(self._tried) :] += noise.astype(own[variable.path].dtype)
        self._results = own

    def read(self, path: str, frames: slice = slice(None)) -> Array:
        inside.beat(path)
        n = len(self._of[frames])
        self.seconds += READ + BLOCK * (len(self.blocks) if n == self.n_frames else 1)
        if path in self._results:
            return self._results[path][frames]
        if path in self._constants:
            return self._constants[path]
        whole = self._written[path]
        return whole[frames] if len(whole) == self.n_frames else whole

    def has(self, path: str) -> bool:
        return path in self._results or path in self._constants or path in self._written

    def units(self, variable: Variable) -> str:
        return units_of(variable, self._calibrated)

    def frame(self, index: int) -> Frame:
        inside.beat()
        return self._read(self._tried[self._of[index]])

    def write(self, path: str, values: Array, frames: slice | None = None) -> None:
        inside.beat(path)
        self.seconds += WRITE
        values = np.asarray(values)
        if frames is None:
            self._written[path] = values
            return
        if path not in self._written or self._written[path].shape[1:] != values.shape[1:]:
            self._written[path] = np.zeros((self.n_frames, *values.shape[1:]), values.dtype)
        self._written[path][frames] = values

    def set_attributes(self, group: str, attributes: Mapping[str, Any]) -> None: ...

    def write_file(self, path: str, content: bytes) -> None: ...

    def _padded(self, variable: Variable, arrays: Mapping[str, Array], sizes: Mapping[str, int]) -> Array:
        """Return what each frame tried has of a variable, with the room that the store has for it."""
        found = [arrays[f"{index}/{variable.path}"] for index in self._tried]
        shape = tuple(
            max(sizes[dim], *lengths) if dim in RAGGED else sizes[dim]
            for dim, *lengths in zip(variable.dims[1:], *(one.shape for one in found), strict=True)
        )
        whole = np.full((len(found), *shape), fill_value(variable), variable.dtype)
        for k, one in enumerate(found):
            where: tuple[int | slice, ...] = (k, *(slice(n) for n in one.shape))
            whole[where] = one
        return whole
