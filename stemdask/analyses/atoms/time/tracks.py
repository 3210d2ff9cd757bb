"""Identity of atoms in time: each atom's track, how far it moved, and how much the particle shakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.sample import sample
from stemdask.analyses.atoms.shape import positions
from stemdask.errors import ConfigError
from stemdask.kernels.atoms.fluctuation import DistanceFluctuation
from stemdask.kernels.atoms.tracking import Linked, Tracker
from stemdask.model import Analysis, Array, Frame, Params, Stack, Variable
from stemdask.units import Length, LengthAngstrom

LINKED, FOREIGN, EMPTY = 0, 1, 2
FLAGS = {LINKED: "linked", FOREIGN: "lies on no other frame", EMPTY: "nothing to link"}


class TracksParams(Params):
    """Identity of atoms in time."""

    max_displacement: Literal["auto"] | LengthAngstrom = "auto"
    """Largest displacement of an atom between frames; auto: half the distance of nearest neighbours."""
    memory: Annotated[int, Field(ge=0, le=1000)] = 3
    """Frames for which an atom may be missing and yet be the same when it comes back."""
    lindemann_range: Literal["all"] | LengthAngstrom = Length(10.0, "angstrom")
    """Pairs of atoms up to this distance in the first frame count for the Lindemann index, or all pairs."""


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
MSD = _late("tracks/msd", _FRAME, "float64", "angstrom2", "mean squared displacement of the first frame's atoms")
N_BORN = _late("tracks/n_born", _FRAME, "int32", "1", "atoms that are new")
N_LOST = _late("tracks/n_lost", _FRAME, "int32", "1", "atoms given up, after as many frames as are remembered")
LINDEMANN = _late("tracks/lindemann", (), "float64", "1", "Lindemann index of the first frame's atoms")
ELEMENT = _late("tracks/element", _TRACK, "uint8", "1", "atomic number")
FIRST_FRAME = _late("tracks/first_frame", _TRACK, "int64", "1", "frame in which the atom was seen first")
LAST_FRAME = _late("tracks/last_frame", _TRACK, "int64", "1", "frame in which the atom was seen last")
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


def outputs(params: TracksParams) -> tuple[Variable, ...]:
    """Declare the track of each atom, how each frame lies on the first, and what is known of each track."""
    of_frames = (FLAG, ROTATION, RMS, MSD, N_BORN, N_LOST, LINDEMANN)
    of_tracks = (ELEMENT, FIRST_FRAME, LAST_FRAME, N_FRAMES, *MEAN_POSITION, FLUCTUATION, LINDEMANN_INDEX)
    return (TRACK, *DISPLACEMENT, *of_frames, *of_tracks)


def prepare(frames: Sequence[Frame], params: TracksParams) -> Mapping[str, Array]:
    """Tell before the run that periodic boxes have no orientation to take out.

    Raises
    ------
    ConfigError
        The frames are periodic.
    """
    if any(any(frame.periodic) for frame in sample(frames, 1)):
        raise ConfigError(
            "atoms are followed in isolated particles only, and these are periodic boxes",
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
    for frames in stack.blocks:
        placed = np.stack([stack.read(axis.path, frames) for axis in (positions.X, positions.Y, positions.Z)], axis=-1)
        numbers = stack.read(positions.ELEMENT.path, frames)
        block = _Block(*numbers.shape)
        for k, index in enumerate(range(frames.start, frames.stop)):
            linked = tracker.add(index, placed[k], numbers[k])
            block.take(k, linked, tracker)
            if not (linked.track >= 0).any():
                continue
            if distances is None:
                distances = DistanceFluctuation.of_pairs_within(placed[k], linked.track, pair_range)
            distances.add(placed[k], linked.track)
        for variable, values in block.arrays.items():
            stack.write(variable.path, values, frames)
    _write_tracks(stack, tracker, distances)


class _Block:
    """What is written for the frames of one block."""

    def __init__(self, n_frames: int, n_atoms: int) -> None:
        self.arrays: dict[Variable, Array] = {
            TRACK: np.full((n_frames, n_atoms), -1, np.int32),
            **{variable: np.full((n_frames, n_atoms), np.nan) for variable in DISPLACEMENT},
            FLAG: np.full(n_frames, EMPTY, np.int8),
            **{variable: np.full(n_frames, np.nan) for variable in (ROTATION, RMS, MSD)},
            **{variable: np.zeros(n_frames, np.int32) for variable in (N_BORN, N_LOST)},
        }

    def take(self, k: int, linked: Linked, tracker: Tracker) -> None:
        """Note the frame number `k` of the block."""
        arrays, track = self.arrays, linked.track
        arrays[N_LOST][k] = linked.n_lost
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
    prepare=prepare,
    finish=finish,
)
