"""How a particle changes over the frames.

Order in the core, at the surface and by depth, fractions of the structure types, and from when to when they change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stemdask.analyses.atoms.order import bond_order, coordination, structure
from stemdask.analyses.atoms.sample import sample
from stemdask.analyses.atoms.shape import shape, surface
from stemdask.kernels.arrays import Floats
from stemdask.kernels.atoms.change_points import Transition, course, transitions
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Stack, Variable
from stemdask.units import Length, LengthAngstrom

#: Frames looked at for the size of the particle, spread evenly.
PROBES = 32
#: Changes smaller than this don't matter: of order and of fractions themselves, else of the median.
LEAST = 0.02


class PhasesParams(Params):
    """Changes over the frames."""

    layer_width: LengthAngstrom = Length(2.0, "angstrom")
    """Width of the layers of depth in which order is averaged."""


_FRAME, _LAYER, _KIND, _CHANGE = ("frame",), ("frame", "layer"), ("frame", "structure_kind"), ("change",)


def _with_error(name: str, dims: tuple[str, ...], text: str) -> tuple[Variable, Variable]:
    path = f"phases/{name}"
    error = Variable(f"{path}_err", dims, "float64", "1", f"standard error of the {text}")
    return Variable(path, dims, "float64", "1", text, error.path), error


N_ATOMS = Variable("phases/n_atoms", _FRAME, "int32", "1", "number of atoms", trend=True)
CORE_ORDER, CORE_ORDER_ERR = _with_error("core_order", _FRAME, "mean crystallinity of the core")
SURFACE_ORDER, SURFACE_ORDER_ERR = _with_error("surface_order", _FRAME, "mean crystallinity of the surface")
LAYER = Variable(
    "phases/layer", ("layer",), "float64", "angstrom", "depth below the surface, middle of the layer", stage="prepare"
)
LAYER_ORDER, LAYER_ORDER_ERR = _with_error("layer_order", _LAYER, "mean crystallinity of the layer")
FRACTION, FRACTION_ERR = _with_error("fraction", _KIND, "fraction of the atoms of each structure type")

_KIND_NAMES = tuple(structure.KINDS.values())


class Quantity(NamedTuple):
    """A number of each frame whose changes are looked for."""

    variable: Variable
    kind: int | None = None
    """Place of its structure type, of the fractions."""

    @property
    def name(self) -> str:
        """Name of one word."""
        return self.variable.name if self.kind is None else f"fraction_{_KIND_NAMES[self.kind]}"

    @property
    def text(self) -> str:
        """Name in words."""
        if self.kind is None:
            return self.variable.long_name
        return f"fraction of {_KIND_NAMES[self.kind].replace('_', ' ')} atoms"

    def least(self, values: Floats) -> float:
        """Return the smallest change that matters."""
        share = self.variable in (CORE_ORDER, SURFACE_ORDER, FRACTION)
        return LEAST if share else LEAST * abs(float(np.nanmedian(values)))

    def changes(self, values: Floats) -> list[Transition]:
        """Return the rises and falls that matter, beyond the noise of the values (frames,)."""
        least = self.least(values)
        return transitions(course(values, least), least)


QUANTITIES = (
    Quantity(N_ATOMS),
    Quantity(shape.DIAMETER),
    Quantity(coordination.MEAN_COORDINATION),
    Quantity(CORE_ORDER),
    Quantity(SURFACE_ORDER),
    *(Quantity(FRACTION, kind) for kind in range(len(_KIND_NAMES))),
)
_NAMES = {k: quantity.name for k, quantity in enumerate(QUANTITIES)}


def _late(name: str, dtype: str, text: str, error: str | None = None) -> Variable:
    return Variable(f"phases/{name}", _CHANGE, dtype, "1", text, error, stage="finish")


QUANTITY = Variable("phases/quantity", _CHANGE, "int8", "1", "number that changes", flags=_NAMES, stage="finish")
START_ERR = _late("start_frame_err", "float64", "standard error of that frame; NaN: it changes from the beginning on")
START = _late(
    "start_frame", "int64", "first frame of the change; of a gradual one, where a tenth of it is done", START_ERR.path
)
STOP_ERR = _late("stop_frame_err", "float64", "standard error of that frame; NaN: it changes until the end")
STOP = _late(
    "stop_frame",
    "int64",
    "first frame after the change; that of its start, of a step; of a gradual one, where nine tenths are done",
    STOP_ERR.path,
)
BEFORE = _late("before", "float64", "value before the change, in the unit of the number")
AFTER = _late("after", "float64", "value after the change, in the unit of the number")


def outputs(params: PhasesParams) -> tuple[Variable, ...]:
    """Declare order inside, outside and by depth, the fractions, and what changes from when to when."""
    of_frames = (N_ATOMS, CORE_ORDER, CORE_ORDER_ERR, SURFACE_ORDER, SURFACE_ORDER_ERR)
    of_parts = (LAYER, LAYER_ORDER, LAYER_ORDER_ERR, FRACTION, FRACTION_ERR)
    return (*of_frames, *of_parts, QUANTITY, START, START_ERR, STOP, STOP_ERR, BEFORE, AFTER)


def prepare(frames: Sequence[Frame], params: PhasesParams) -> Mapping[str, Array]:
    """Choose as many layers as the largest particle needs; the last one holds all that is deeper too."""
    radius = 0.0
    for frame in sample(frames, PROBES):
        placed = frame.positions[np.isfinite(frame.positions).all(axis=1)]
        if len(placed):
            radius = max(radius, float(np.ptp(placed, axis=0).max()) / 2)
    width = params.layer_width.angstrom()
    return {LAYER.path: (np.arange(max(int(np.ceil(radius / width)), 1)) + 0.5) * width}


def run(frame: AtomsFrame, params: PhasesParams) -> Mapping[str, Array]:
    """Average the order of one frame, and divide its atoms among the structure types.

    Standard errors are those of atoms that are independent of each other.
    """
    order, place, depth = (frame[v] for v in (bond_order.CRYSTALLINITY, surface.AT_SURFACE, surface.DEPTH))
    known = np.isfinite(order)
    inside = known & np.isfinite(depth)
    n_layers = len(frame[LAYER])
    layer = np.minimum(depth[inside] / params.layer_width.angstrom(), n_layers - 1).astype(int)
    layer_order, layer_order_err = _means(layer, order[inside], n_layers)
    placed = known & (place >= 0)
    (core, at_surface), (core_err, at_surface_err) = _means(place[placed], order[placed], 2)
    count = frame[structure.COUNT].astype(float)
    fraction = count / count.sum() if count.any() else np.full(len(count), np.nan)
    return {
        N_ATOMS.path: np.array(np.isfinite(frame.positions).all(axis=1).sum(), np.int32),
        CORE_ORDER.path: np.array(core),
        CORE_ORDER_ERR.path: np.array(core_err),
        SURFACE_ORDER.path: np.array(at_surface),
        SURFACE_ORDER_ERR.path: np.array(at_surface_err),
        LAYER_ORDER.path: layer_order,
        LAYER_ORDER_ERR.path: layer_order_err,
        FRACTION.path: fraction,
        FRACTION_ERR.path: np.sqrt(fraction * (1 - fraction) / max(count.sum(), 1)),
    }


def _means(group: Array, values: Array, n: int) -> tuple[Floats, Floats]:
    """Return the mean of each group and its standard error; NaN without values, and for the error of one."""
    counts = np.bincount(group, minlength=n)
    mean = np.divide(np.bincount(group, values, n), counts, out=np.full(n, np.nan), where=counts > 0)
    squares = np.bincount(group, (values - mean[group]) ** 2, n)
    free = counts * (counts - 1.0)
    return mean, np.sqrt(np.divide(squares, free, out=np.full(n, np.nan), where=free > 0))


def finish(stack: Stack, params: PhasesParams) -> None:
    """Find from when to when each number of the frames rises or falls."""
    found: list[tuple[int, Transition]] = []
    for k, quantity in enumerate(QUANTITIES):
        values = stack.read(quantity.variable.path)
        series = (values if quantity.kind is None else values[:, quantity.kind]).astype(float)
        series[series < 0] = np.nan  # whole numbers of frames without results
        if np.isfinite(series).any():
            found += [(k, change) for change in quantity.changes(series)]
    found.sort(key=lambda one: one[1].start)
    stack.write(QUANTITY.path, np.array([k for k, _ in found], np.int8))
    for variable, field in zip((START, START_ERR, STOP, STOP_ERR, BEFORE, AFTER), Transition._fields, strict=True):
        values = np.array([getattr(change, field) for _, change in found])
        stack.write(variable.path, values.astype(variable.dtype))


ANALYSIS = Analysis(
    name="phases",
    kind="atoms",
    summary="Changes over the frames: order of core, surface and layers, structure types, and when they change",
    params=PhasesParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.phases",
    needs=("shape", "coordination", "bond_order", "surface", "structure"),
    prepare=prepare,
    run=run,
    finish=finish,
)
