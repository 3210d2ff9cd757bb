"""One frame through the chosen analyses, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from stemdask.analyses import registry
from stemdask.errors import StemdaskError
from stemdask.model import Array, Frame, Kind, Stage, Step, Variable


def declared(kind: Kind, steps: Sequence[Step], stage: Stage | None = None) -> tuple[Variable, ...]:
    """Return the variables that the steps declare, of one stage or of all."""
    return tuple(
        variable
        for step in steps
        for variable in registry.get(kind, step.name).outputs(step.params)
        if stage is None or variable.stage == stage
    )


def prepare(kind: Kind, steps: Sequence[Step], frames: Sequence[Frame]) -> dict[str, Array]:
    """Run what comes once before; return its constants by path, in the declared dtype."""
    prepared: dict[str, Array] = {}
    for step in steps:
        analysis = registry.get(kind, step.name)
        if analysis.prepare is not None:
            constants = _Seen(frames, prepared)
            prepared |= _checked(analysis.prepare(constants, step.params), step, kind, "prepare")
    return prepared


def analyse(
    kind: Kind, steps: Sequence[Step], frame: Frame, given: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Run every step on one frame; return the arrays to store, by path, in the declared dtype.

    The frame's `results` hold what was prepared; what each step returns is added to them for the next one. Results that
    are `given` take the place of those that a step returns.
    """
    stored: dict[str, Array] = {}
    for number, step in enumerate(steps):
        analysis = registry.get(kind, step.name)
        if analysis.run is not None:
            more = (partial(_again, kind, steps[:number]),) if analysis.repeats else ()
            arrays = analysis.run(frame, step.params, *more)
            checked = _checked(arrays, step, kind, "run")
            checked |= {path: array for path, array in (given or {}).items() if path in checked}
            frame.results.update({path: np.asarray(array) for path, array in arrays.items()} | checked)
            stored |= checked
    return stored


def _again(
    kind: Kind, steps: Sequence[Step], frame: Frame, given: Mapping[str, Array], of: Sequence[str]
) -> dict[str, Array]:
    """Run those of the steps on another frame that lead to the results named."""
    needed = {step.name for step in steps if any(v.path in of for v in declared(kind, [step], "run"))}
    for step in reversed(steps):  # what a step needs stands before it
        if step.name in needed:
            needed.update(registry.get(kind, step.name).needs)
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


def _checked(arrays: Mapping[str, Array], step: Step, kind: Kind, stage: Stage) -> dict[str, Array]:
    variables = {variable.path: variable for variable in declared(kind, [step], stage)}
    public = {path for path in arrays if not path.startswith("_")}
    if public != set(variables):
        missing = sorted(set(variables) - public)
        extra = sorted(public - set(variables))
        raise StemdaskError(
            f"the analysis '{step.name}' returned other variables than it declares: missing {missing}, extra {extra}"
        )
    checked = {}
    for path, variable in variables.items():
        array = np.asarray(arrays[path]).astype(variable.dtype, casting="same_kind", copy=False)
        dims = len(variable.dims) - (variable.dims[:1] == ("frame",))
        if array.ndim != dims:
            raise StemdaskError(
                f"the analysis '{step.name}' returned {path} with {array.ndim} dimensions instead of {dims}"
            )
        checked[path] = array
    return checked
