"""What is asked of the images of a run: each can be analysed, and all of them are one stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stemdask.errors import InputError
from stemdask.sources.guard import check_budget
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.headers import check_size
from stemdask.sources.images.source import by, pair
from stemdask.sources.images.stack import Stack

MOST_PROBED = 256
"""Files that are opened to compare shape and pixel size; of more, about this many evenly spaced ones."""
_SMALLEST = 8


def check(stack: Stack, path: str, fmt: ImageFormat, size: int) -> None:
    """Refuse what can't be analysed, or read, as images."""
    n_frames, ny, nx = stack.shape
    if min(ny, nx) < _SMALLEST or n_frames < 1:
        raise InputError(
            "too small for an image", where=path, value=by(stack.shape), allowed=f"{_SMALLEST} × {_SMALLEST}"
        )
    if stack.dtype.kind not in "iufb":
        raise InputError(f"pixels of type {stack.dtype} are not intensities", where=path)
    check_budget(path, ny * nx * max(4, stack.dtype.itemsize))
    if fmt.stores_pixels:
        check_size(path, n_frames * ny * nx * stack.dtype.itemsize, size)


def compare(files: Sequence[str], probed: Mapping[int, Stack], pixel_size: float | None) -> list[str]:
    """Refuse files that aren't one stack; say what differs and does no harm.

    Parameters
    ----------
    files
        All files.
    probed
        Stacks of those that were opened, by their place among all; the first is one of them.
    pixel_size
        What was given to hold for all, nm.
    """
    first = probed[0]
    for at, stack in probed.items():
        if stack.shape[1:] != first.shape[1:]:
            raise InputError(
                f"{by(stack.shape[1:])} pixels, but {files[0]} has {by(first.shape[1:])}",
                where=files[at],
                remedy="Give frames of one shape: choose them with a glob, or crop them",
            )
        one, other = first.calibration.pixel_size, stack.calibration.pixel_size
        same = (one is None) == (other is None) and (one is None or np.allclose(one, other or 0.0, rtol=1e-3))
        if pixel_size is None and not same:
            raise InputError(
                f"pixel size {pair(other, 'nm') if other else 'not known'}, "
                f"but {files[0]} has {pair(one, 'nm') if one else 'none'}",
                where=files[at],
                remedy="Give frames of one magnification, or state the pixel size that holds for all",
            )
    said = []
    if len(probed) < len(files):
        if several := next((at for at, stack in probed.items() if stack.shape[0] > 1), None):
            raise InputError(
                f"one of {len(files)} files, with several frames",
                where=files[several],
                allowed=f"up to {MOST_PROBED} files of several frames, or any number of files of one",
                remedy="Join the files into fewer stacks",
            )
        said.append(f"{len(probed)} of {len(files)} files were opened; a frame of another shape fails when it is read")
    if len(dtypes := {str(stack.dtype) for stack in probed.values()}) > 1:
        said.append(f"the files differ in their number format: {', '.join(sorted(dtypes))}")
    if any(stack.calibration.offset != first.calibration.offset for stack in probed.values()):
        said.append(f"the files differ in the offset of their axes; that of {files[0]} holds for all")
    return said
