"""The identity of atoms in time: a particle that turns and drifts, and whose atoms come and go."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stemdask.kernels.arrays import AnyIntegers, Floats, Integers
from stemdask.kernels.atoms.alignment import Rigid, align
from stemdask.kernels.atoms.linking import link

#: Share of a frame in the running mean of positions onto which the next one is aligned.
_SHARE = 0.1
#: A frame that lies on the others no better than this shows another particle, or none.
_FOREIGN = 0.5
#: Atoms that show the distance of nearest neighbours, and what stands for half of it [angstrom] without them.
_ENOUGH, _REACH = 4, 1.3


#: Fields of a track: atomic number; frame in which the atom was seen first and last; in how many frames; where it was
#: first, on the mean, last, and on a running mean (angstrom, in the orientation of the first frame); sum of squared
#: distances from the mean.
TRACK = np.dtype(
    [
        ("number", np.uint8),
        ("first", np.int64),
        ("last", np.int64),
        ("seen", np.int64),
        ("origin", np.float64, 3),
        ("mean", np.float64, 3),
        ("latest", np.float64, 3),
        ("running", np.float64, 3),
        ("scatter", np.float64),
    ]
)


@dataclass(slots=True)
class Linked:
    """One frame in the light of those before."""

    track: Integers
    """(n,), identity of each atom; -1 in a frame that couldn't be aligned, and for an atom without a place."""
    aligned: Floats
    """(n, 3), the atoms turned and moved to where the particle was in the first frame; NaN without a track."""
    angle: float
    """Rotation since the first frame, degrees; NaN where nothing was linked."""
    rms: float
    """Root mean square displacement of the atoms from their mean places; NaN in the first frame."""
    n_born: int
    foreign: bool
    """The frame has atoms, but they don't lie on those of the frames before."""


@dataclass(slots=True)
class Tracker:
    """Follows atoms from frame to frame; its memory grows with the number of atoms that ever were, not of frames.

    Each frame is aligned onto a running mean of the ones before, since errors of an alignment from frame to frame would
    add up, and its atoms are linked to where they were last.
    """

    reach: float | None = None
    """Largest displacement of an atom between frames; None: half the median distance of nearest neighbours."""
    memory: int = 0
    """Frames for which an atom may be missing and yet be the same when it comes back."""
    _table: NDArray[np.void] = field(init=False, default_factory=lambda: np.empty(64, TRACK))
    _n_tracks: int = field(init=False, default=0)
    _living: Integers = field(init=False, default_factory=lambda: np.empty(0, np.int64))
    _rotation: Floats = field(init=False, default_factory=lambda: np.eye(3))

    @property
    def tracks(self) -> NDArray[np.void]:
        """What is known of each track (tracks,), with the fields of `TRACK`."""
        return self._table[: self._n_tracks]

    def add(self, frame: int, positions: Floats, numbers: NDArray[np.uint8]) -> Linked:
        """Link the atoms of the next frame.

        Parameters
        ----------
        frame
            Its number; larger than that of the frame before.
        positions
            (n, 3). Atoms whose position isn't finite have no track.
        numbers
            (n,), atomic numbers; atoms of different elements are never the same.
        """
        here = np.isfinite(positions).all(axis=1)
        points = positions[here]
        linked = Linked(np.full(len(positions), -1), np.full(positions.shape, np.nan), np.nan, np.nan, 0, False)
        if not len(points):
            return linked
        if self.reach is None and len(points) >= _ENOUGH:
            self.reach = _half_spacing(points)
        reach = self.reach or _REACH
        self._forget(frame)
        motion, rms = Rigid(self._rotation, np.zeros(3)), np.nan
        if len(self._living):
            running = self._table["running"][self._living]
            start = Rigid(self._rotation, running.mean(axis=0) - self._rotation @ points.mean(axis=0))
            found = align(points, running, reach, start)
            if found.misfit > _FOREIGN:
                linked.foreign = True
                return linked
            motion, rms = found.motion, found.rms
        aligned = motion(points)
        known = self._table[self._living]
        before = link(known["latest"], aligned, reach, known["number"], numbers[here])
        new = before < 0
        track = np.where(new, -1, self._living[before] if len(self._living) else -1)
        track[new] = self._n_tracks + np.arange(new.sum())
        self._begin_tracks(frame, aligned[new], numbers[here][new])
        self._move(frame, track, aligned)
        self._rotation = motion.rotation
        linked.track[here], linked.aligned[here] = track, aligned
        linked.angle, linked.rms, linked.n_born = motion.angle, rms, int(new.sum())
        return linked

    def _forget(self, frame: int) -> None:
        remembered = frame - self._table["last"][self._living] <= self.memory + 1
        self._living = self._living[remembered]

    def _begin_tracks(self, frame: int, aligned: Floats, numbers: NDArray[np.uint8]) -> None:
        start, stop = self._n_tracks, self._n_tracks + len(aligned)
        if stop > len(self._table):
            self._table = np.concatenate([self._table, np.empty(max(stop, len(self._table)), TRACK)])
        born = self._table[start:stop]
        born["number"], born["first"], born["seen"], born["scatter"] = numbers, frame, 0, 0.0
        born["origin"] = born["mean"] = born["running"] = aligned
        self._living = np.concatenate([self._living, np.arange(start, stop)])
        self._n_tracks = stop

    def _move(self, frame: int, track: Integers, aligned: Floats) -> None:
        moved = self._table[track]
        moved["last"], moved["latest"] = frame, aligned
        moved["seen"] += 1
        seen = moved["seen"][:, None]
        step = aligned - moved["mean"]
        moved["mean"] += step / seen
        moved["scatter"] += np.einsum("ij,ij->i", step, aligned - moved["mean"])
        moved["running"] += np.maximum(_SHARE, 1 / seen) * (aligned - moved["running"])
        self._table[track] = moved


def by_track(values: Floats, track: AnyIntegers, n_tracks: int | None = None) -> Floats:
    """Return a property of the atoms as a time series of each.

    Parameters
    ----------
    values
        (frames, atoms), a property such as the store's ``atoms/q6_avg``.
    track
        (frames, atoms), track of each atom, -1 where there is none; the store's ``atoms/track``.
    n_tracks
        Number of tracks; by default as many as `track` names.

    Returns
    -------
    Floats
        (frames, tracks), NaN where the atom isn't seen.
    """
    n = int(track.max(initial=-1)) + 1 if n_tracks is None else n_tracks
    series = np.full((len(track), n), np.nan)
    frame, atom = np.nonzero(track >= 0)
    series[frame, track[frame, atom]] = values[frame, atom]
    return series


def _half_spacing(points: Floats) -> float | None:
    spacing = float(np.median(cKDTree(points).query(points, k=2)[0][:, 1]))
    return 0.5 * spacing if spacing > 0 else None
