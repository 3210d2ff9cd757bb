"""One frame through the chosen analyses, in their order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

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


def declared_by(
    kind: Kind, steps: Sequence[Step], names: Collection[str], stage: Stage | None = None
) -> tuple[Variable, ...]:
    """Return the variables of the store that those of the steps declare which are named."""
    every = (own for step, own in zip(steps, outputs(kind, steps), strict=True) if step.name in names)
    return tuple(v for own in every for v in own if v.stored and stage in (None, v.stage))


def prepare(
    kind: Kind, steps: Sequence[Step], frames: Sequence[Frame], known: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Run what comes once before; return its constants by path, in the declared dtype.

    A step whose stored constants are all `known` is run again only for those that no store holds, and only where a
    later step has constants to make from them.
    """
    prepared = dict(known or {})
    constants = [_of_stage(own, "prepare") for own in outputs(kind, steps)]
    lacks = [any(variable.stored and variable.path not in prepared for variable in own) for own in constants]
    for number, (step, own) in enumerate(zip(steps, constants, strict=True)):
        analysis = registry.get(kind, step.name)
        has_to_hand_on = any(variable.path not in prepared for variable in own) and any(lacks[number + 1 :])
        if analysis.prepare is not None and (lacks[number] or has_to_hand_on):
            seen = _Seen(frames, prepared)
            prepared |= _checked(analysis.prepare(seen, step.params), step, own, "prepare")
    return prepared


def analyse(
    kind: Kind, steps: Sequence[Step], frame: Frame, given: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Run every step on one frame; return the arrays to store, by path, in the declared dtype.

    The frame's `results` hold what was prepared; what each step returns is added to them for the next one. Results that
    are `given` take the place of those that a step returns.
    """
    return _run(kind, steps, frame, given or {}, {})


def extend(kind: Kind, steps: Sequence[Step], frame: Frame, stored: Mapping[str, Array]) -> dict[str, Array]:
    """Run on one frame the steps of which not all is stored yet; return the arrays to store, those of all steps.

    What the others hand on and isn't stored is made again, once a step reads it, by those that lead to it.

    Parameters
    ----------
    kind, steps
        Of the run.
    frame
        With what was prepared.
    stored
        Results of earlier runs, by path, all of a step or nothing.
    """
    done = [
        (step, _of_stage(own, "run"))
        for step, own in zip(steps, outputs(kind, steps), strict=True)
        if all(variable.path in stored for variable in _of_stage(own, "run") if variable.stored)
    ]
    prepared = dict(frame.results)

    def make(path: str) -> Mapping[str, Array]:
        bare = replace(frame, results=dict(prepared))
        _repeat(kind, [step for step, _ in done], bare, {}, [path])
        return bare.results

    handed_on = {variable.path for _, own in done for variable in own if not variable.stored}
    recalled = _Recalled({**prepared, **stored}, handed_on, make)
    return _run(kind, steps, replace(frame, results=recalled), {}, {step.name: own for step, own in done})


class _Recalled(dict[str, Array]):
    """Results of a frame, of which some are made when they are first read."""

    def __init__(
        self, known: Mapping[str, Array], missing: Collection[str], make: Callable[[str], Mapping[str, Array]]
    ):
        super().__init__(known)
        self._missing = set(missing)
        self._make = make

    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or path in self._missing

    def __missing__(self, path: str) -> Array:
        if path not in self._missing:
            raise KeyError(path)
        made = self._make(path)
        self.update({other: made[other] for other in self._missing if other in made})
        self._missing -= made.keys()
        return self[path]

    def get(self, path: str, otherwise: Any = None) -> Any:
        try:
            return self[path]
        except KeyError:
            return otherwise


def _run(
    kind: Kind,
    steps: Sequence[Step],
    frame: Frame,
    given: Mapping[str, Array],
    done: Mapping[str, Sequence[Variable]],
) -> dict[str, Array]:
    """Run all steps but those that are done; return the arrays to store of all."""
    stored: dict[str, Array] = {}
    for number, (step, own) in enumerate(zip(steps, outputs(kind, steps), strict=True)):
        analysis = registry.get(kind, step.name)
        if step.name in done:
            stored |= {variable.path: frame.results[variable.path] for variable in done[step.name] if variable.stored}
        elif analysis.run is not None:
            more = (partial(_repeat, kind, steps[:number]),) if analysis.repeats else ()
            found = _checked(analysis.run(frame, step.params, *more), step, own, "run")
            found |= {path: array for path, array in given.items() if path in found}
            frame.results.update(found)
            stored |= {variable.path: found[variable.path] for variable in _of_stage(own, "run") if variable.stored}
    return stored


def leading_to(kind: Kind, steps: Sequence[Step], names: Collection[str]) -> list[Step]:
    """Return the steps that are named and those whose results they read, directly or not."""
    needed = set(names)
    for step in reversed(steps):  # what a step reads stands before it
        if step.name in needed:
            analysis = registry.get(kind, step.name)
            needed.update(analysis.needs, analysis.after)
    return [step for step in steps if step.name in needed]


def _repeat(
    kind: Kind, steps: Sequence[Step], frame: Frame, given: Mapping[str, Array], of: Sequence[str]
) -> dict[str, Array]:
    """Run those of the steps on another frame that lead to the results named."""
    own = zip(steps, outputs(kind, steps), strict=True)
    named = {step.name for step, found in own if any(variable.path in of for variable in _of_stage(found, "run"))}
    return analyse(kind, leading_to(kind, steps, named), frame, given)


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
