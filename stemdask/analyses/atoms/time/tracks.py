"""Identity of atoms in time: each atom's track, how far it moved, and how much the particle shakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import coordination
from stemdask.analyses.atoms.sample import sample
from stemdask.analyses.atoms.shape import facets, positions, surface
from stemdask.errors import ConfigError
from stemdask.kernels.atoms.fluctuation import DistanceFluctuation
from stemdask.kernels.atoms.tracking import Linked, Tracker
from stemdask.model import Analysis, Array, Frame, Params, Stack, Variable
from stemdask.units import Length, LengthAngstrom

LINKED, FOREIGN, EMPTY = 0, 1, 2
STAYED, LOST, OPEN = 0, 1, 2
ENDS = {STAYED: "seen in the last frame", LOST: "lost", OPEN: "missing for no more frames than are remembered"}
FLAGS = {LINKED: "linked", FOREIGN: "lies on no other frame", EMPTY: "nothing to link"}


class TracksParams(Params):
    """Identity of atoms in time."""

    max_displacement: Literal["auto"] | LengthAngstrom = "auto"
    """Largest displacement of an atom between frames; auto: half the distance of nearest neighbours."""
    memory: Annotated[int, Field(ge=0, le=1000)] = 3
    """Number of frames for which an atom may be missing and still be recognised."""
    lindemann_range: Literal["all"] | LengthAngstrom = Length(10.0, "angstrom")
    """The Lindemann index is computed from pairs up to this distance in the first frame, or from all pairs."""


_ATOM, _FRAME, _TRACK = ("frame", "atom"), ("frame",), ("track",)


def _late(path: str, dims: tuple[str, ...], dtype: str, units: str, text: str) -> Variable:
    return Variable(path, dims, dtype, units, text, stage="finish")


TRACK = _late("atoms/track", _ATOM, "int32", "1", "track of the atom: the same number is the same atom")
DISPLACEMENT = tuple(
    _late(f"atoms/displacement_{axis}", _ATOM, "float64", "angstrom", f"displacement since first seen, {along}")
    for axis, along in zip("xyz", ("x of the first frame", "y", "z"), strict=True)
)
FLAG = Variable("tracks/flag", _FRAME, "int8", "1", "whether the frame was linked", flags=FLAGS, stage="finish")
ROTATION = _late("tracks/rotation", _FRAME, "float64", "degree", "rotation of the particle since the first frame")
RMS = _late("tracks/rms", _FRAME, "float64", "angstrom", "root mean square distance from the mean of frames before")
MSD = _late("tracks/msd", _FRAME, "float64", "angstrom^2", "mean squared displacement of the first frame's atoms")
N_BORN = _late("tracks/n_born", _FRAME, "int32", "1", "atoms that are new")
N_LOST = _late("tracks/n_lost", _FRAME, "int32", "1", "atoms seen last in this frame, which isn't the last one")
N_LOST_OPEN = _late(
    "tracks/n_lost_open", _FRAME, "int32", "1", "of these, atoms that could still come back at the end of the frames"
)
LINDEMANN = _late("tracks/lindemann", (), "float64", "1", "Lindemann index of the first frame's atoms")
ELEMENT = _late("tracks/element", _TRACK, "uint8", "1", "atomic number")
FIRST_FRAME = _late("tracks/first_frame", _TRACK, "int64", "1", "frame in which the atom was seen first")
LAST_FRAME = _late("tracks/last_frame", _TRACK, "int64", "1", "frame in which the atom was seen last")
END = Variable("tracks/end", _TRACK, "int8", "1", "what became of the atom", flags=ENDS, stage="finish")
N_FRAMES = _late("tracks/n_frames", _TRACK, "int64", "1", "frames in which the atom was seen")
MEAN_POSITION = tuple(
    _late(f"tracks/{axis}", _TRACK, "float64", "angstrom", f"mean position along {axis} of the first frame")
    for axis in "xyz"
)
FLUCTUATION = _late(
    "tracks/fluctuation", _TRACK, "float64", "angstrom", "root mean square distance from the mean position"
)
LINDEMANN_INDEX = _late(
    "tracks/lindemann_index", _TRACK, "float64", "1", "mean relative fluctuation of the distances to others"
)


#: What is kept of each atom where it was seen first and last, in runs that have it.
AT_THE_ENDS = (coordination.COORDINATION, surface.DEPTH, facets.FACET)


def first_and_last(variable: Variable) -> tuple[Variable, Variable]:
    """Return the variables of a property of each track in the frame in which it was seen first, and last."""
    first, last = (
        _late(f"tracks/{when}_{variable.name}", _TRACK, "float64", variable.units, f"{variable.long_name}, {when} seen")
        for when in ("first", "last")
    )
    return first, last


def outputs(params: TracksParams, known: Mapping[str, Variable]) -> tuple[Variable, ...]:
    """Declare the track of each atom, how each frame lies on the first, and what is known of each track."""
    of_frames = (FLAG, ROTATION, RMS, MSD, N_BORN, N_LOST, N_LOST_OPEN, LINDEMANN)
    of_tracks = (ELEMENT, FIRST_FRAME, LAST_FRAME, END, N_FRAMES, *MEAN_POSITION, FLUCTUATION, LINDEMANN_INDEX)
    ends = (v for variable in AT_THE_ENDS if variable.path in known for v in first_and_last(variable))
    return (TRACK, *DISPLACEMENT, *of_frames, *of_tracks, *ends)


def prepare(frames: Sequence[Frame], params: TracksParams) -> Mapping[str, Array]:
    """Tell before the run that periodic boxes have no orientation to take out.

    Raises
    ------
    ConfigError
        The frames are periodic.
    """
    if any(any(frame.periodic) for frame in sample(frames, 1)):
        raise ConfigError(
            "atoms can be tracked in isolated particles only, and these structures are periodic",
            where="analyses.tracks",
            remedy="Leave tracks out, or write the structures without periodic boundaries",
        )
    return {}


def finish(stack: Stack, params: TracksParams) -> None:
    """Follow the atoms through the committed frames, block after block."""
    reach = None if params.max_displacement == "auto" else params.max_displacement.angstrom()
    tracker = Tracker(reach, params.memory)
    pair_range = np.inf if params.lindemann_range == "all" else params.lindemann_range.angstrom()
    distances: DistanceFluctuation | None = None
    ends = [_Ends(variable) for variable in AT_THE_ENDS if stack.has(variable.path)]
    for frames in stack.blocks:
        placed = np.stack([stack.read(axis.path, frames) for axis in (positions.X, positions.Y, positions.Z)], axis=-1)
        numbers = stack.read(positions.ELEMENT.path, frames)
        block = _Block(*numbers.shape)
        for end in ends:
            end.values = stack.read(end.variable.path, frames)
        for k, index in enumerate(range(frames.start, frames.stop)):
            linked = tracker.add(index, placed[k], numbers[k])
            block.take(k, linked, tracker)
            for end in ends:
                end.take(k, linked.track)
            if not (linked.track >= 0).any():
                continue
            if distances is None:
                distances = DistanceFluctuation.of_pairs_within(placed[k], linked.track, pair_range)
            distances.add(placed[k], linked.track)
        for variable, values in block.arrays.items():
            stack.write(variable.path, values, frames)
    _write_tracks(stack, tracker, distances)
    for end in ends:
        end.write(stack)


class _Ends:
    """A property of each track in the frames in which it was seen first and last."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable
        self.values: Array = np.empty((0, 0))
        """(frames, atoms), of the block at hand; -1 or NaN where it is missing."""
        self._first, self._last = np.empty(0), np.empty(0)

    def take(self, k: int, track: Array) -> None:
        """Note the frame number `k` of the block."""
        more = np.full(max(int(track.max(initial=-1)) + 1 - len(self._first), 0), np.nan)
        self._first, self._last = np.append(self._first, more), np.append(self._last, more)
        seen = np.flatnonzero(track >= 0)
        known = seen[seen < self.values.shape[1]]
        value = np.where(self.values[k, known] < 0, np.nan, self.values[k, known].astype(float))
        place = track[known]
        self._last[place] = value
        self._first[place] = np.where(np.isnan(self._first[place]), value, self._first[place])

    def write(self, stack: Stack) -> None:
        """Write both."""
        for variable, values in zip(first_and_last(self.variable), (self._first, self._last), strict=True):
            stack.write(variable.path, values)


class _Block:
    """What is written for the frames of one block."""

    def __init__(self, n_frames: int, n_atoms: int) -> None:
        self.arrays: dict[Variable, Array] = {
            TRACK: np.full((n_frames, n_atoms), -1, np.int32),
            **{variable: np.full((n_frames, n_atoms), np.nan) for variable in DISPLACEMENT},
            FLAG: np.full(n_frames, EMPTY, np.int8),
            **{variable: np.full(n_frames, np.nan) for variable in (ROTATION, RMS, MSD)},
            N_BORN: np.zeros(n_frames, np.int32),
        }

    def take(self, k: int, linked: Linked, tracker: Tracker) -> None:
        """Note the frame number `k` of the block."""
        arrays, track = self.arrays, linked.track
        if np.isnan(linked.angle):
            arrays[FLAG][k] = FOREIGN if linked.foreign else EMPTY
            return
        tracked = np.flatnonzero(track >= 0)
        known = tracker.tracks[track[tracked]]
        displacement = linked.aligned[tracked] - known["origin"]
        arrays[TRACK][k] = track
        for variable, values in zip(DISPLACEMENT, displacement.T, strict=True):
            arrays[variable][k, tracked] = values
        original = known["first"] == tracker.tracks["first"][0]
        squared = np.einsum("ij,ij->i", displacement, displacement)[original]
        arrays[FLAG][k] = LINKED
        arrays[ROTATION][k] = linked.angle
        arrays[RMS][k] = linked.rms
        arrays[MSD][k] = squared.mean() if len(squared) else np.nan
        arrays[N_BORN][k] = linked.n_born


def _write_tracks(stack: Stack, tracker: Tracker, distances: DistanceFluctuation | None) -> None:
    tracks = tracker.tracks
    index, each = (np.nan, np.full(len(tracks), np.nan)) if distances is None else distances.indices(len(tracks))
    stack.write(LINDEMANN.path, np.array(index))
    stack.write(LINDEMANN_INDEX.path, each)
    stack.write(ELEMENT.path, tracks["number"])
    stack.write(FIRST_FRAME.path, tracks["first"])
    stack.write(LAST_FRAME.path, tracks["last"])
    stack.write(N_FRAMES.path, tracks["seen"])
    missing = tracks["last"].max(initial=0) - tracks["last"]
    end = np.select([missing == 0, missing > tracker.memory], [STAYED, LOST], OPEN).astype(np.int8)
    stack.write(END.path, end)
    for variable, gone in ((N_LOST, end != STAYED), (N_LOST_OPEN, end == OPEN)):
        counts = np.bincount(tracks["last"][gone], minlength=stack.n_frames)
        stack.write(variable.path, counts.astype(np.int32))
    for variable, values in zip(MEAN_POSITION, tracks["mean"].T, strict=True):
        stack.write(variable.path, values)
    stack.write(FLUCTUATION.path, np.sqrt(tracks["scatter"] / tracks["seen"]))
    found = {
        "max_displacement_angstrom": tracker.reach,
        "lindemann_pairs": 0 if distances is None else len(distances.i),
    }
    stack.set_attributes(FLAG.group, found)


ANALYSIS = Analysis(
    name="tracks",
    kind="atoms",
    summary="Identity of the atoms of a particle in time: tracks, displacements, their mean square, Lindemann index",
    params=TracksParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.tracks",
    needs=("positions",),
    after=("coordination", "surface", "facets"),
    derives=True,
    prepare=prepare,
    finish=finish,
)
