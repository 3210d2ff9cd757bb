"""What the viewer reads of a store: one frame at a time, one place in all frames, and what became of each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from stemdask.analyses.atoms.order import bond_order
from stemdask.analyses.atoms.shape import positions
from stemdask.analyses.atoms.time import tracks
from stemdask.analyses.images.cells import displacement
from stemdask.analyses.images.columns import columns, lattice
from stemdask.analyses.images.maps import denoise
from stemdask.analyses.images.stack import registration, rotation
from stemdask.errors import StemdaskError
from stemdask.figures.canvas import spacing
from stemdask.figures.numbers import with_error
from stemdask.figures.pixels import shown_units
from stemdask.figures.style import quantity
from stemdask.kernels.arrays import Array, Booleans, Floats, Integers
from stemdask.kernels.images.finding.quality import UNUSABLE
from stemdask.model import FrameStatus, ImageFrame, Variable
from stemdask.report.verdicts import Verdicts, judge
from stemdask.results import reader
from stemdask.results.blocks import Blocks, Stored
from stemdask.results.views import Results
from stemdask.sources.frame_hash import frame_hash
from stemdask.store import statuses
from stemdask.store.layout import INPUT_HASH, count_of, open_group
from stemdask.units import amount

#: Coordinates of the things of a frame, y before x, where their group has none of its own.
_PLACES: dict[str, tuple[Variable, ...]] = {
    "column": (columns.Y, columns.X),
    "cell": (displacement.Y, displacement.X),
    "atom": (positions.X, positions.Y, positions.Z),
}
#: Groups that have vectors, the first of them as it was measured.
_VECTORS = ((displacement.U, displacement.V), (denoise.U, denoise.V))
_DRIFT = (registration.SHIFT_Y, registration.SHIFT_X)
#: Bytes of a variable that are read at once for a series.
_PART_BYTES = 2**23
#: How far from where the drift takes it a place may be in another frame, in distances between neighbours.
_REACH = 0.5


class Things(NamedTuple):
    """The columns, cells or atoms of a frame."""

    where: Floats
    """(n, 2) y and x, or (n, 3) x, y and z; NaN where a series has a place that the frame doesn't show."""
    values: Array
    """(n,), of the property."""
    usable: Booleans
    """(n,), False: a column that could not be measured."""


class Part(NamedTuple):
    """A part of the series of one thing."""

    frames: slice
    values: Floats
    """(frame,), NaN where it isn't seen."""
    errors: Floats
    """(frame,), standard errors; NaN where there are none."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One column, cell or atom, whichever it is in a frame."""

    dim: str
    find: Callable[[slice], Integers]
    """Returns which it is in each of some frames; -1 where it isn't seen."""


class Seen(NamedTuple):
    """The image of a frame, and what is wrong with it or why there is none."""

    image: ImageFrame | None
    trouble: str = ""


class Frames:
    """The frames of a store, finished or not; arrays are read when they are asked for, and none is kept.

    Parameters
    ----------
    store
        The zarr store.

    Raises
    ------
    StoreError
        It isn't one that stemdask wrote.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.refresh()
        self._input = self._results  # for all that follow: a folder of many files takes a while to open

    def refresh(self) -> None:
        """Read again what became of the frames, and which arrays there are."""
        tree = reader.open_results(self.store)
        self._blocks = Blocks(self.store)
        self._results = Results(tree)
        self.kind = self._results.kind
        self.n_frames = self._blocks.n_frames
        self.status = statuses.read_statuses(self.store)
        self.state = str(tree.attrs["state"])
        self.verdicts: Verdicts = judge(self._results, told=0)
        things = [dim for dim in _PLACES if self._located(dim)]
        self._shown = {
            path: replace(stored, units=shown_units(stored.units)[0]) for path, stored in self._blocks.variables.items()
        }
        self.properties = tuple(
            stored
            for stored in self._shown.values()
            if stored.dims[:1] == ("frame",) and stored.dims[1:] in [(dim,) for dim in things] and _is_number(stored)
        )

    def is_new(self) -> bool:
        """Tell whether the run has come further since the last `refresh`."""
        state = str(open_group(self.store).attrs["state"])
        return state != self.state or not np.array_equal(statuses.read_statuses(self.store), self.status)

    def property(self, path: str) -> Stored:
        """Return a property by its path, in the units in which it is shown."""
        return self._shown[path]

    def first_property(self) -> Stored | None:
        """Return the property that is shown first: the sublattice of columns, or the bond order of atoms."""
        by_path = {stored.path: stored for stored in self.properties}
        first = (lattice.SUBLATTICE, bond_order.Q6_AVG, positions.ELEMENT)
        return next((by_path[v.path] for v in first if v.path in by_path), next(iter(self.properties), None))

    def unit(self) -> str:
        """Return the unit of lengths on the map."""
        there = (self._blocks.variables[v.path].units for v, *_ in _PLACES.values() if self._blocks.has(v.path))
        return next(there, "")

    def has_results(self) -> bool:
        """Tell whether any frame has results."""
        return bool((self.status == FrameStatus.OK).any())

    def last_done(self) -> int:
        """Return the last frame that has results; 0 where none has."""
        good = np.flatnonzero(self.status == FrameStatus.OK)
        return int(good[-1]) if good.size else 0

    def things(self, shown: Stored, frame: int) -> Things:
        """Return the columns, cells or atoms of a frame with a property of theirs."""
        dim = shown.dims[1]
        n = self._number(dim, frame)
        where = np.column_stack([self._of(path, frame, n) for path in self._coordinates(shown)])
        usable = np.isfinite(where).all(axis=1)
        if dim == "column" and self._blocks.has(columns.FLAG.path):
            usable &= ~np.isin(self._of(columns.FLAG.path, frame, n), UNUSABLE)
        return Things(self._in_image(where, frame) if dim == "cell" else where, self._of(shown.path, frame, n), usable)

    def vectors(self, frame: int, path: str) -> tuple[Floats, Floats]:
        """Return the middles (n, 2), y and x, and the displacements (n, 2), u and v, of the cells that have any."""
        u, v = next(pair for pair in _VECTORS if pair[0].path == path)
        n = self._number("cell", frame)
        middles, arrows = (
            np.column_stack([self._of(variable.path, frame, n) for variable in pair])
            for pair in ((displacement.Y, displacement.X), (u, v))
        )
        there = np.isfinite(middles).all(axis=1) & np.isfinite(arrows).all(axis=1)
        return self._in_image(middles[there].astype(float), frame), self._along_image(
            arrows[there].astype(float), frame
        )

    def _in_image(self, places: Array, frame: int) -> Array:
        """Return places (n, 2) of cells, whose coordinates may be turned, where the image shows them."""
        turn = self._turn(frame)
        return places if turn is None else turn.back(places)

    def _along_image(self, arrows: Floats, frame: int) -> Floats:
        """Return vectors (n, 2), u and v, whose coordinates may be turned, as the image shows them."""
        turn = self._turn(frame)
        return arrows if turn is None else np.asarray((arrows[:, ::-1] @ turn.matrix)[:, ::-1])

    def _turn(self, frame: int) -> rotation.Turn | None:
        """Return how the coordinates of cells are turned against those of the image; None where they aren't."""
        if not self._blocks.has(rotation.ANGLE.path):
            return None
        one = slice(frame, frame + 1)
        return rotation.Turn.by(*(float(self._blocks.read(variable.path, one)[0]) for variable in rotation.TURN))

    def vectors_there(self) -> list[Stored]:
        """Return the first components of the vectors that there are."""
        return [self._shown[u.path] for u, _ in _VECTORS if self._blocks.has(u.path)]

    def typical(self, path: str) -> float:
        """Return a length that few vectors exceed; `path` is that of their first component."""
        u, v = next(pair for pair in _VECTORS if pair[0].path == path)
        lengths = np.hypot(self.sample(u.path), self.sample(v.path))
        lengths = lengths[np.isfinite(lengths)]
        return float(np.percentile(lengths, 90)) or 1.0 if lengths.size else 1.0

    def sample(self, path: str, most: int = 5) -> Array:
        """Return the values of a property in a few frames, evenly chosen, for scales that hold for all of them."""
        good = np.flatnonzero(self.status == FrameStatus.OK)
        chosen = good[np.unique(np.linspace(0, max(len(good) - 1, 0), most).round().astype(int))] if good.size else good
        dim = self.property(path).dims[1]
        found = [self._of(path, int(frame), self._number(dim, int(frame))) for frame in chosen]
        return np.concatenate(found) if found else np.zeros(0)

    def told(self, shown: Stored, frame: int, index: int) -> list[tuple[str, str]]:
        """Return all values of one thing of a frame, that of a property first: name, and value with error and unit.

        A column that is displaced has those of its cell too.
        """
        dim = shown.dims[1]
        numbers = {dim: index}
        if dim == "column" and self._blocks.has(displacement.COLUMN.path):
            of_cells = self._of(displacement.COLUMN.path, frame, self._number("cell", frame))
            if (of_cells == index).any():
                numbers["cell"] = int(np.argmax(of_cells == index))
        errors = {stored.error for stored in self.properties}
        others = [stored for stored in self.properties if stored.path not in errors and stored != shown]
        told = [shown, *(stored for stored in others if stored.dims[1] in numbers)]
        return [(stored.path, self._value(stored, frame, numbers[stored.dims[1]])) for stored in told]

    def thing(self, shown: Stored, frame: int, index: int) -> Thing | None:
        """Return one thing that can be found in other frames; None where nothing tells which it is there.

        Atoms are those of the same track. A column or cell is the nearest one to where the drift of the specimen takes
        it, within half the distance of neighbours.

        Parameters
        ----------
        shown
            A property of it.
        frame, index
            The thing as the frame counts them.
        """
        dim = shown.dims[1]
        if dim == "atom":
            track = self._of(tracks.TRACK.path, frame, index + 1)[index] if self._blocks.has(tracks.TRACK.path) else -1
            return Thing(dim, partial(self._same_track, int(track))) if track >= 0 else None
        drift = np.zeros((self.n_frames, 2))
        if all(self._blocks.has(variable.path) for variable in _DRIFT):
            drift = np.nan_to_num(np.column_stack([self._blocks.read(variable.path) for variable in _DRIFT]))
        here = self.things(shown, frame).where
        expected = here[index] - drift[frame] + drift
        reach = _REACH * spacing(*here[np.isfinite(here).all(axis=1)].T)
        return Thing(dim, partial(self._same_place, self._coordinates(shown), expected, reach))

    def series(self, shown: Stored, thing: Thing) -> Iterator[Part]:
        """Yield a property of one thing over all frames, part by part."""
        blocks = list(self._blocks.blocks())
        size = shown.dtype.itemsize * self._blocks.shape(shown.path)[1] * (blocks[0].stop - blocks[0].start)
        step = max(1, _PART_BYTES // size)
        for few in (blocks[k : k + step] for k in range(0, len(blocks), step)):
            frames = slice(few[0].start, few[-1].stop)
            number = thing.find(frames)
            values, errors = (self._along(path, frames, number) for path in (shown.path, shown.error))
            yield Part(frames, values, errors)

    def image(self, frame: int) -> Seen:
        """Read the image of a frame from the input, and tell whether it is what was analysed."""
        if self._input.source() is None:
            path = self._input.config()["input"]["path"]
            why = "it was moved, or is on another machine"
            return Seen(None, f"The image is not shown: its file ({path}) can't be read from here; {why}.")
        try:
            image = self._input.read_image(frame)
        except (StemdaskError, OSError, IndexError) as error:
            return Seen(None, f"The image is not shown: {error}")
        if image is None:
            return Seen(None)
        known = int(self._blocks.read(INPUT_HASH, slice(frame, frame + 1))[0]) if self._blocks.has(INPUT_HASH) else 0
        changed = known not in (0, frame_hash(image))
        return Seen(image, "The file has changed since it was analysed: these are other pixels." if changed else "")

    def _located(self, dim: str) -> bool:
        return all(self._blocks.has(variable.path) for variable in _PLACES[dim])

    def _coordinates(self, shown: Stored) -> Sequence[str]:
        """Return the paths of the coordinates: those of the property's own group, or the usual ones."""
        own = [f"{shown.group}/{variable.name}" for variable in _PLACES[shown.dims[1]]]
        return own if all(map(self._blocks.has, own)) else [v.path for v in _PLACES[shown.dims[1]]]

    def _number(self, dim: str, frame: int) -> int:
        good = self.status[frame] == FrameStatus.OK
        return max(0, int(self._blocks.read(count_of(dim), slice(frame, frame + 1))[0])) if good else 0

    def _of(self, path: str, frame: int, n: int) -> Array:
        return self._read(path, slice(frame, frame + 1))[0, :n]

    def _read(self, path: str, frames: slice) -> Array:
        """Return a property of some frames, in the units in which it is shown."""
        values = self._blocks.read(path, frames)
        factor = shown_units(self._blocks.variables[path].units)[1]
        return values if factor == 1.0 else values * factor

    def _value(self, stored: Stored, frame: int, index: int) -> str:
        value = self._of(stored.path, frame, index + 1)[index]
        if stored.flags:
            return stored.flags.get(int(value), str(value)).replace("_", " ")
        error = float("nan")
        if stored.error is not None and self._blocks.has(stored.error):
            error = float(self._of(stored.error, frame, index + 1)[index])
        text = str(value) if value.dtype.kind in "iu" else with_error(float(value), error)
        return amount(text, stored.units) if np.isfinite(value) else "not known"

    def _same_track(self, track: int, frames: slice) -> Integers:
        same = self._blocks.read(tracks.TRACK.path, frames) == track
        return np.where(same.any(axis=1), same.argmax(axis=1), -1)

    def _same_place(self, coordinates: Sequence[str], expected: Floats, reach: float, frames: slice) -> Integers:
        y, x = coordinates
        off = (self._blocks.read(y, frames) - expected[frames, :1]) ** 2
        off += (self._blocks.read(x, frames) - expected[frames, 1:]) ** 2
        off[np.isnan(off)] = np.inf
        near = off.argmin(axis=1)
        there = (off.min(axis=1) < reach**2) & (self.status[frames] == FrameStatus.OK)
        return np.where(there, near, -1)

    def _along(self, path: str | None, frames: slice, number: Integers) -> Floats:
        values = np.full(len(number), np.nan)
        rows = np.flatnonzero(number >= 0)
        if path is not None and self._blocks.has(path) and rows.size:
            values[rows] = self._read(path, frames)[rows, number[rows]]
        return values


def nearest(where: Floats, point: Sequence[float]) -> int | None:
    """Return which place is nearest to a point, within the distance of neighbours; None where none is."""
    there = np.flatnonzero(np.isfinite(where).all(axis=1))
    if not there.size:
        return None
    reach = spacing(*where[there].T[:2]) if there.size > 1 else np.inf
    distance, number = cKDTree(where[there]).query(point)
    return int(there[number]) if distance <= reach else None


def label(stored: Stored) -> str:
    """Return what a property is, with its unit."""
    return quantity(stored.long_name, stored.units)


def _is_number(stored: Stored) -> bool:
    return stored.dtype.kind in "iuf"
