"""Pictures as everyday programs save them: decoded by Pillow, and accepted if they are truly grey.

The decoder of a format is called by itself: `PIL.Image.open` has its own opinion on formats and on large images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.guard import check_budget
from stemdask.sources.images.headers import colour
from stemdask.sources.images.stack import Calibration, OpenStack, Stack

if TYPE_CHECKING:
    from PIL.Image import Image

Decoder: TypeAlias = Callable[[IO[bytes]], "Image"]
"""A class of Pillow: reads the header when it is made, the pixels when they are asked for."""

#: What a picture may state as a resolution is its size on paper.
_UNCALIBRATED = Calibration(None, problem="a picture states no pixel size of the specimen")


def open_picture(path: str, decoder: Decoder, check: Callable[[str], list[str]]) -> list[OpenStack]:
    """Open the picture of a file as a stack of one frame.

    Parameters
    ----------
    path
        File.
    decoder
        That of the format.
    check
        That of the format; asked again before the pixels are read, since not every file of a long series is probed.
    """
    with _decoded(path, decoder) as picture:
        nx, ny = picture.size
        dtype = np.dtype(np.uint16 if _is_wide(picture) else np.uint8)

    def read(index: int) -> Array:
        del index
        check(path)
        with _decoded(path, decoder) as picture:
            return _grey(path, picture).astype(dtype, copy=False)

    return [OpenStack(Stack(Path(path).stem, (1, ny, nx), dtype, _UNCALIBRATED), read)]


def check_depth(path: str, bits: int) -> None:
    """Refuse a picture of so few levels that an intensity can't be measured."""
    if bits < 8:
        raise InputError(
            f"a picture of {bits} bit: {2**bits} levels of grey",
            where=path,
            allowed="8 or more bits per pixel",
            remedy="Save the frames again with all their levels",
        )


@contextmanager
def _decoded(path: str, decoder: Decoder) -> Iterator[Image]:
    """Read the header of a picture; refuse one whose pixels don't fit the memory budget, all channels counted."""
    with Path(path).open("rb") as file, decoder(file) as picture:
        check_budget(path, picture.width * picture.height * (4 + len(picture.getbands())))
        yield picture


def _is_wide(picture: Image) -> bool:
    """Tell 16 bits from 8; Pillow names several modes for it."""
    return picture.mode.startswith("I")


def _grey(path: str, picture: Image) -> Array:
    """Return the pixels of a picture whose channels say the same, (ny, nx)."""
    hidden = picture.info.get("transparency")  # the level, or colour, that isn't shown
    if picture.mode == "P" or (picture.mode == "RGB" and hidden is not None):
        picture = picture.convert("RGBA")
    if not _is_wide(picture) and picture.mode not in ("L", "LA", "RGB", "RGBA"):
        raise colour(path, picture.mode)
    values = np.asarray(picture)
    if values.ndim == 2:
        if hidden is not None:
            _check_opaque(path, values == hidden)
        return values
    return grey_of(path, values, picture.mode)


def grey_of(path: str, values: Array, mode: str) -> Array:
    """Return the intensities of pixels whose channels say the same.

    Parameters
    ----------
    path
        File, for the message.
    values
        Unsigned integers, (ny, nx, channel); an even number of channels ends in that of opacity.
    mode
        What the channels are.

    Raises
    ------
    InputError
        They differ, or not all pixels are opaque.
    """
    if values.shape[-1] % 2 == 0:
        _check_opaque(path, values[..., -1] < np.iinfo(values.dtype).max)
        values = values[..., :-1]
    spread = np.ptp(np.ascontiguousarray(np.moveaxis(values, -1, 0)), axis=0)  # slow along an axis of three
    if n_coloured := np.count_nonzero(spread):
        kind = f"{mode}; in {n_coloured} of {spread.size} pixels the channels differ, by up to {spread.max()}"
        raise colour(path, kind)
    return values[..., 0]


def _check_opaque(path: str, transparent: Array) -> None:
    if n_transparent := np.count_nonzero(transparent):
        raise InputError(
            f"{n_transparent} of {transparent.size} pixels are transparent",
            where=path,
            remedy="Save the frames as grey images without transparency",
        )
