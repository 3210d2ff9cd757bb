"""The drift of a stack followed from frame to frame, so that no frame is placed on the wrong lattice vector.

A frame is compared with a running average of the frames before it, moved to where the drift should have taken it. The
step from one frame to the next is controlled like that of an integrator of a differential equation: it grows while the
drift goes on as predicted and shrinks when it doesn't, so that a slow drift over ten thousand frames takes some hundred
readings, each frame is read once, and the prediction is never off by more than a fraction of the lattice period.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stemdask.kernels.arrays import AnyFloats, Floats, Image, Integers
from stemdask.kernels.images.stacks.mosaic import Mosaic
from stemdask.kernels.images.stacks.shift import NO_SHIFT, Shift, find_shift, is_blank, lattice_period
from stemdask.kernels.images.stacks.shift_image import shift_image

#: Frames that the running average remembers, and that it takes before a new reference begins.
_MEMORY = 64
#: At least this many frames are followed, where there are as many.
_LEAST = 64
#: Part of the field that may drift away before a new reference begins.
_AWAY = 0.25
#: The step shrinks where the drift was off the prediction by more than the last of these fractions of the lattice
#: period (and is taken back beyond it), and grows below the first.
_STEADY, _RETRY = 1 / 12, 1 / 4
#: A frame whose quality is below this fraction of the usual one shows something else.
UNRELATED = 0.5
_REFERENCES = 16
_REFERENCE_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Drift:
    """The way of a stack, and the averages against which each of its frames can be measured; px, y down."""

    frames: Integers
    """(m,), the frames that were followed, ascending."""
    shifts: Floats
    """(m, 2), shift (y, x) of each against the first frame of the walk."""
    references: Image
    """(r, ny, nx), averages of aligned frames; NaN beyond what they saw."""
    starts: Integers
    """(r,), first frame for which each reference serves."""
    offsets: Integers
    """(r, 2), whole shift of each reference itself."""
    quality: float
    """Usual quality of a frame; one below half of it shows something else."""
    mosaic: Mosaic | None = None
    """The average of the frames that were followed, over all that they show."""

    def expected(self, frame: int) -> tuple[float, float]:
        """Return the shift that a frame should have."""
        return (
            float(np.interp(frame, self.frames, self.shifts[:, 0])),
            float(np.interp(frame, self.frames, self.shifts[:, 1])),
        )

    def measure(self, frame: int, image: AnyFloats) -> Shift:
        """Measure the shift of a frame against the reference of its time."""
        which = max(int(np.searchsorted(self.starts, frame, side="right")) - 1, 0)
        return _against(self.references[which], self.offsets[which], image, self.expected(frame))


def follow_drift(read: Callable[[int], AnyFloats | None], n_frames: int, reference: int | None = None) -> Drift | None:
    """Follow the drift of a stack.

    Parameters
    ----------
    read
        Returns a frame, or None where it can't be read.
    n_frames
        Number of frames.
    reference
        The frame against which all are measured; None: a running average, which begins with the first good frame.

    Returns
    -------
    Drift or None
        None where no frame (or not the one given) has any contrast.

    Notes
    -----
    Between two frames that were followed one after the other, a perfect crystal must not drift by more than half a
    lattice period away from the prediction: nothing in the images could tell it from its whole-cell neighbour.
    """
    start, image = _first(read, range(n_frames) if reference is None else (reference,))
    if image is None:
        return None
    period = lattice_period(image)
    if not np.isfinite(period):
        period = min(image.shape) / 8
    average = _Average(image, start, fixed=reference is not None)
    mosaic = Mosaic(image)
    found = {start: (0.0, 0.0)}
    stride = max(1, n_frames // _LEAST)
    qualities: list[float] = []
    for way in (range(start, n_frames), range(start, -1, -1)):
        if len(way) > 1 and (reference is not None or way.step > 0):
            shifts, qualities[len(qualities) :] = _walk(read, way, (average, mosaic), period, stride)
            found |= shifts
    frames = sorted(found)
    values = np.array([found[frame] for frame in frames])
    kept = _thinned(average.close())
    return Drift(
        np.array(frames),
        values,
        np.stack([one.image for one in kept]),
        np.array([0, *(one.start for one in kept[1:])]),
        np.array([one.offset for one in kept]),
        # Those against the latest averages count: against a noisy one, only the strongest frequencies are compared.
        float(np.median(qualities[-max(1, len(qualities) // 4) :])) if qualities else 1.0,
        mosaic,
    )


def stitch(drift: Drift) -> tuple[Image, tuple[int, int]]:
    """Return the average of all that the frames show, and the place of its pixel (0, 0) in the frame of shift 0.

    Where the specimen rests, that is the average of the references. Where it drifts by a pixel or more, columns enter
    the field of which the first frames know nothing: it is the mosaic, which covers the area of every frame followed.
    """
    if drift.mosaic is not None and np.abs(drift.shifts).max() >= 1.0:
        return drift.mosaic.mean(), drift.mosaic.first
    finite = np.isfinite(drift.references)
    total = np.where(finite, drift.references, 0.0).sum(axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return (total / finite.sum(axis=0)).astype(np.float32), (0, 0)


@dataclass(frozen=True, slots=True)
class _Reference:
    image: Image
    start: int
    offset: tuple[int, int]


class _Average:
    """A running average of aligned frames; a new one begins where the specimen leaves the field or after some time."""

    def __init__(self, image: AnyFloats, start: int, fixed: bool) -> None:
        self.offset = (0, 0)
        self._fixed = fixed
        self._start = start
        self._closed: list[_Reference] = []
        self._weight = np.isfinite(image).astype(np.float32)
        self._total = np.where(np.isfinite(image), image, 0).astype(np.float32)
        self._count = 1

    def mean(self) -> Image:
        seen = self._weight > min(0.3 * self._weight.max(), 4.0)
        return np.where(seen, self._total / np.where(seen, self._weight, 1), np.nan).astype(np.float32)

    def add(self, frame: int, image: AnyFloats, shift: tuple[float, float]) -> None:
        if self._fixed:
            return
        relative = (shift[0] - self.offset[0], shift[1] - self.offset[1])
        drifted = max(abs(relative[axis]) / image.shape[axis] for axis in (0, 1)) > _AWAY
        if drifted or self._count >= _MEMORY:
            self._closed.append(_Reference(self.mean(), self._start, self.offset))
            self._start, self._count = frame, 0
        if drifted:
            moved = (round(relative[0]), round(relative[1]))
            self._total = np.nan_to_num(shift_image(self._total, moved)).astype(np.float32)
            self._weight = np.nan_to_num(shift_image(self._weight, moved)).astype(np.float32)
            self.offset = (self.offset[0] + moved[0], self.offset[1] + moved[1])
            relative = (relative[0] - moved[0], relative[1] - moved[1])
        aligned = shift_image(image, (-relative[0], -relative[1]))
        finite = np.isfinite(aligned)
        forget = np.float32(1 - 1 / _MEMORY)
        self._total = forget * self._total + np.where(finite, aligned, 0).astype(np.float32)
        self._weight = forget * self._weight + finite.astype(np.float32)
        self._count += 1

    def close(self) -> list[_Reference]:
        return [*self._closed, _Reference(self.mean(), self._start, self.offset)]


def _walk(
    read: Callable[[int], AnyFloats | None],
    way: Sequence[int],
    averages: tuple[_Average, Mosaic],
    period: float,
    longest: int,
) -> tuple[dict[int, tuple[float, float]], list[float]]:
    """Follow the frames of `way`, whose first one has no shift; return shifts and qualities of those that were read."""
    average, mosaic = averages
    found: dict[int, tuple[float, float]] = {}
    read_ahead: dict[int, AnyFloats] = {}
    here, shift, speed = 0, np.zeros(2), np.zeros(2)
    stride, skipped = 1, 0
    qualities: list[float] = []
    while here < len(way) - 1:
        there = min(here + stride + skipped, len(way) - 1)
        image = read_ahead.pop(there, None)
        if image is None:
            image = read(way[there])
        guess = shift + speed * (there - here)
        one = _against(average.mean(), average.offset, image, (guess[0], guess[1]), with_error=False)
        usual = float(np.median(qualities)) if qualities else 0.0
        if image is None or not np.isfinite(one.y) or one.quality < UNRELATED * usual:
            if there == len(way) - 1:
                break
            skipped = 2 * skipped + 1  # a long damaged part takes few readings too
            continue
        surprise = float(np.hypot(one.y - guess[0], one.x - guess[1]))
        if surprise > _RETRY * period and stride > 1:
            stride //= 2
            read_ahead[there] = image
            continue
        qualities.append(one.quality)
        found[way[there]] = (one.y, one.x)
        average.add(way[there], image, (one.y, one.x))
        mosaic.add(image, (one.y, one.x))
        moved = np.array([one.y, one.x])
        speed = 0.5 * speed + 0.5 * (moved - shift) / (there - here)
        here, shift, skipped = there, moved, 0
        if surprise < _STEADY * period:
            stride = min(2 * stride, longest)
        elif surprise > 2 * _STEADY * period:
            stride = max(1, stride // 2)
    return found, qualities


def _against(
    reference: Image,
    offset: tuple[int, int] | Integers,
    image: AnyFloats | None,
    guess: tuple[float, float],
    *,
    with_error: bool = True,
) -> Shift:
    if image is None or image.shape != reference.shape or is_blank(image):
        return NO_SHIFT
    one = find_shift(
        reference, image, (guess[0] - float(offset[0]), guess[1] - float(offset[1])), with_error=with_error
    )
    return one._replace(y=one.y + float(offset[0]), x=one.x + float(offset[1]))


def _first(read: Callable[[int], AnyFloats | None], frames: Iterable[int]) -> tuple[int, AnyFloats | None]:
    for frame in frames:
        image = read(frame)
        if image is not None and not is_blank(image):
            return frame, image
    return 0, None


def _thinned(references: list[_Reference]) -> list[_Reference]:
    """Keep as many references as memory allows, spread over the stack."""
    most = max(2, min(_REFERENCES, _REFERENCE_BYTES // references[0].image.nbytes))
    if len(references) <= most:
        return references
    return [references[i] for i in np.unique(np.linspace(0, len(references) - 1, most).round().astype(int))]
