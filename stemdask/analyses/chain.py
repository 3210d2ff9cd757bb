"""One frame through the chosen analyses, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from stemdask.analyses import registry
from stemdask.errors import StemdaskError
from stemdask.model import Array, Frame, Kind, Stage, Step, Variable


def outputs(kind: Kind, steps: Sequence[Step]) -> tuple[tuple[Variable, ...], ...]:
    """Return all that each step declares: what is stored, and what is handed to later steps."""
    known: dict[str, Variable] = {}
    found = []
    for step in steps:
        analysis = registry.get(kind, step.name)
        own = analysis.outputs(step.params, known) if analysis.derives else analysis.outputs(step.params)
        known |= {variable.path: variable for variable in own}
        found.append(own)
    return tuple(found)


def declared(kind: Kind, steps: Sequence[Step], stage: Stage | None = None) -> tuple[Variable, ...]:
    """Return the variables of the store that the steps declare, of one stage or of all."""
    every = (variable for own in outputs(kind, steps) for variable in own)
    return tuple(variable for variable in every if variable.stored and stage in (None, variable.stage))


def prepare(kind: Kind, steps: Sequence[Step], frames: Sequence[Frame]) -> dict[str, Array]:
    """Run what comes once before; return its constants by path, in the declared dtype."""
    prepared: dict[str, Array] = {}
    for step, own in zip(steps, outputs(kind, steps), strict=True):
        analysis = registry.get(kind, step.name)
        if analysis.prepare is not None:
            constants = _Seen(frames, prepared)
            prepared |= _checked(analysis.prepare(constants, step.params), step, own, "prepare")
    return prepared


def analyse(
    kind: Kind, steps: Sequence[Step], frame: Frame, given: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Run every step on one frame; return the arrays to store, by path, in the declared dtype.

    The frame's `results` hold what was prepared; what each step returns is added to them for the next one. Results that
    are `given` take the place of those that a step returns.
    """
    stored: dict[str, Array] = {}
    for number, (step, own) in enumerate(zip(steps, outputs(kind, steps), strict=True)):
        analysis = registry.get(kind, step.name)
        if analysis.run is not None:
            more = (partial(_repeat, kind, steps[:number]),) if analysis.repeats else ()
            found = _checked(analysis.run(frame, step.params, *more), step, own, "run")
            found |= {path: array for path, array in (given or {}).items() if path in found}
            frame.results.update(found)
            stored |= {variable.path: found[variable.path] for variable in _of_stage(own, "run") if variable.stored}
    return stored


def _repeat(
    kind: Kind, steps: Sequence[Step], frame: Frame, given: Mapping[str, Array], of: Sequence[str]
) -> dict[str, Array]:
    """Run those of the steps on another frame that lead to the results named."""
    own = zip(steps, outputs(kind, steps), strict=True)
    needed = {step.name for step, found in own if any(variable.path in of for variable in _of_stage(found, "run"))}
    for step in reversed(steps):  # what a step reads stands before it
        if step.name in needed:
            analysis = registry.get(kind, step.name)
            needed.update(analysis.needs, analysis.after)
    return analyse(kind, [step for step in steps if step.name in needed], frame, given)


class _Seen(Sequence[Frame]):
    """Frames that carry what has been prepared so far."""

    def __init__(self, frames: Sequence[Frame], prepared: Mapping[str, Array]) -> None:
        self._frames = frames
        self._prepared = dict(prepared)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Frame:  # type: ignore[override]
        frame = self._frames[index]
        frame.results.update(self._prepared)
        return frame


def _of_stage(variables: Sequence[Variable], stage: Stage) -> list[Variable]:
    return [variable for variable in variables if variable.stage == stage]


def _checked(arrays: Mapping[str, Array], step: Step, own: Sequence[Variable], stage: Stage) -> dict[str, Array]:
    """Hold what a step returned against what it declares; return it in the declared dtypes."""
    variables = {variable.path: variable for variable in _of_stage(own, stage)}
    if arrays.keys() != variables.keys():
        missing = sorted(variables.keys() - arrays.keys())
        extra = sorted(arrays.keys() - variables.keys())
        raise StemdaskError(
            f"the analysis '{step.name}' returned other variables than it declares: missing {missing}, extra {extra}"
        )
    return {path: _as_declared(arrays[path], variable, step) for path, variable in variables.items()}


def _as_declared(array: Array, variable: Variable, step: Step) -> Array:
    converted = np.asarray(array)
    if variable.dtype != "floating":
        converted = converted.astype(variable.dtype, casting="same_kind", copy=False)
    dims = len(variable.dims) - (variable.dims[:1] == ("frame",))
    if converted.ndim != dims:
        raise StemdaskError(
            f"the analysis '{step.name}' returned {variable.path} with {converted.ndim} dimensions instead of {dims}"
        )
    return converted
