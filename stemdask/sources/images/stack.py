"""What an opener returns: one file as a stack of frames with its calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stemdask.kernels.arrays import Array
from stemdask.sources.images.acquisition import UNKNOWN, Acquisition
from stemdask.units import parse_length


@dataclass(frozen=True, slots=True)
class Calibration:
    """Size and place of the pixels along (y, x) in nm, or why they aren't known."""

    pixel_size: tuple[float, float] | None
    offset: tuple[float, float] = (0.0, 0.0)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """What a file states of the stack of images in it."""

    title: str
    shape: tuple[int, int, int]
    """(n_frames, ny, nx)."""
    dtype: np.dtype[Any]
    calibration: Calibration
    problems: tuple[str, ...] = ()
    """What is odd about it, in words."""
    acquisition: Acquisition = UNKNOWN


@dataclass(frozen=True, slots=True)
class OpenStack:
    """A stack opened in this process."""

    stack: Stack
    read: Callable[[int], Array]
    """Return one frame, (ny, nx), in the file's dtype."""


def calibrate(axes: Sequence[Mapping[str, Any]]) -> Calibration:
    """Read scale and offset of the (y, x) axes; a scale without a unit says nothing."""
    if len(axes) < 2:
        return Calibration(None, problem="the file states no pixel size")
    units = [str(axis.get("units") or "") for axis in axes]
    scales = [float(axis.get("scale", 1.0)) for axis in axes]
    offsets = [float(axis.get("offset", 0.0)) for axis in axes]
    if all(unit in ("", "<undefined>", "px") for unit in units):
        bare = [scale for scale in scales if scale != 1.0]
        hint = f"; it has a scale of {bare[0]:.6g} without a unit" if bare else ""
        return Calibration(None, problem=f"the file states no pixel size{hint}")
    try:
        factor = [parse_length("1", unit.replace(" ", "")).nm() for unit in units]
    except ValueError:
        return Calibration(None, problem=f"the axes are in {' and '.join(units)}, not a length")
    size = [scale * nm for scale, nm in zip(scales, factor, strict=True)]
    if not all(math.isfinite(value) and value > 0 for value in size):
        return Calibration(None, problem=f"the pixel size of the file is {size[0]:g} × {size[1]:g} nm")
    place = [offset * nm for offset, nm in zip(offsets, factor, strict=True)]
    return Calibration((size[0], size[1]), (place[0], place[1]))
