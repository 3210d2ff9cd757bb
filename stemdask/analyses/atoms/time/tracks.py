"""Identity of atoms in time: each atom's track, how far it moved, and how much the particle shakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.sample import sample
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


def outputs(params: TracksParams) -> tuple[Variable, ...]:
    """Declare the track of each atom, how each frame lies on the first, and what is known of each track."""

    def late(path: str, dims: tuple[str, ...], dtype: str, units: str, text: str) -> Variable:
        return Variable(path, dims, dtype, units, text, stage="finish")

    atom, frame, track = ("frame", "atom"), ("frame",), ("track",)
    return (
        late("atoms/track", atom, "int32", "1", "track of the atom: the same number is the same atom"),
        *(
            late(f"atoms/displacement_{axis}", atom, "float64", "angstrom", f"displacement since first seen, {along}")
            for axis, along in zip("xyz", ("x of the first frame", "y", "z"), strict=True)
        ),
        Variable("tracks/flag", frame, "int8", "1", "whether the frame was linked", flags=FLAGS, stage="finish"),
        late("tracks/rotation", frame, "float64", "degree", "rotation of the particle since the first frame"),
        late("tracks/rms", frame, "float64", "angstrom", "root mean square distance from the mean of frames before"),
        late("tracks/msd", frame, "float64", "angstrom2", "mean squared displacement of the first frame's atoms"),
        late("tracks/n_born", frame, "int32", "1", "atoms that are new"),
        late("tracks/n_lost", frame, "int32", "1", "atoms given up, after as many frames as are remembered"),
        late("tracks/lindemann", (), "float64", "1", "Lindemann index of the first frame's atoms"),
        late("tracks/element", track, "uint8", "1", "atomic number"),
        late("tracks/first_frame", track, "int64", "1", "frame in which the atom was seen first"),
        late("tracks/last_frame", track, "int64", "1", "frame in which the atom was seen last"),
        late("tracks/n_frames", track, "int64", "1", "frames in which the atom was seen"),
        *(
            late(f"tracks/{axis}", track, "float64", "angstrom", f"mean position along {axis} of the first frame")
            for axis in "xyz"
        ),
        late("tracks/fluctuation", track, "float64", "angstrom", "root mean square distance from the mean position"),
        late("tracks/lindemann_index", track, "float64", "1", "mean relative fluctuation of the distances to others"),
    )


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
        positions = np.stack([stack.read(f"atoms/{axis}", frames) for axis in "xyz"], axis=-1)
        numbers = stack.read("atoms/element", frames)
        block = _Block(*numbers.shape)
        for k, index in enumerate(range(frames.start, frames.stop)):
            linked = tracker.add(index, positions[k], numbers[k])
            block.take(k, linked, tracker)
            if not (linked.track >= 0).any():
                continue
            if distances is None:
                distances = DistanceFluctuation.of_pairs_within(positions[k], linked.track, pair_range)
            distances.add(positions[k], linked.track)
        for path, values in block.arrays.items():
            stack.write(path, values, frames)
    _write_tracks(stack, tracker, distances)


class _Block:
    """What is written for the frames of one block."""

    def __init__(self, n_frames: int, n_atoms: int) -> None:
        self.arrays: dict[str, Array] = {
            "atoms/track": np.full((n_frames, n_atoms), -1, np.int32),
            **{f"atoms/displacement_{axis}": np.full((n_frames, n_atoms), np.nan) for axis in "xyz"},
            "tracks/flag": np.full(n_frames, EMPTY, np.int8),
            **{f"tracks/{name}": np.full(n_frames, np.nan) for name in ("rotation", "rms", "msd")},
            **{f"tracks/{name}": np.zeros(n_frames, np.int32) for name in ("n_born", "n_lost")},
        }

    def take(self, k: int, linked: Linked, tracker: Tracker) -> None:
        """Note the frame number `k` of the block."""
        arrays, track = self.arrays, linked.track
        arrays["tracks/n_lost"][k] = linked.n_lost
        if np.isnan(linked.angle):
            arrays["tracks/flag"][k] = FOREIGN if linked.foreign else EMPTY
            return
        tracked = np.flatnonzero(track >= 0)
        known = tracker.tracks[track[tracked]]
        displacement = linked.aligned[tracked] - known["origin"]
        arrays["atoms/track"][k] = track
        for axis, values in zip("xyz", displacement.T, strict=True):
            arrays[f"atoms/displacement_{axis}"][k, tracked] = values
        original = known["first"] == tracker.tracks["first"][0]
        squared = np.einsum("ij,ij->i", displacement, displacement)[original]
        arrays["tracks/flag"][k] = LINKED
        arrays["tracks/rotation"][k] = linked.angle
        arrays["tracks/rms"][k] = linked.rms
        arrays["tracks/msd"][k] = squared.mean() if len(squared) else np.nan
        arrays["tracks/n_born"][k] = linked.n_born


def _write_tracks(stack: Stack, tracker: Tracker, distances: DistanceFluctuation | None) -> None:
    tracks = tracker.tracks
    index, each = (np.nan, np.full(len(tracks), np.nan)) if distances is None else distances.indices(len(tracks))
    stack.write("tracks/lindemann", np.array(index))
    stack.write("tracks/lindemann_index", each)
    stack.write("tracks/element", tracks["number"])
    stack.write("tracks/first_frame", tracks["first"])
    stack.write("tracks/last_frame", tracks["last"])
    stack.write("tracks/n_frames", tracks["seen"])
    for axis, values in zip("xyz", tracks["mean"].T, strict=True):
        stack.write(f"tracks/{axis}", values)
    stack.write("tracks/fluctuation", np.sqrt(tracks["scatter"] / tracks["seen"]))
    found = {
        "max_displacement_angstrom": tracker.reach,
        "lindemann_pairs": 0 if distances is None else len(distances.i),
    }
    stack.set_attributes("tracks", found)


ANALYSIS = Analysis(
    name="tracks",
    kind="atoms",
    summary="Identity of the atoms of a particle in time: tracks, displacements, their mean square, Lindemann index",
    params=TracksParams,
    outputs=outputs,
    needs=("positions",),
    prepare=prepare,
    finish=finish,
)
