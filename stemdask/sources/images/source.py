"""Images as a source: plain data that a task carries, from which any frame can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array, Booleans
from stemdask.kernels.images.stacks.padding import find_padding
from stemdask.model import ImageFrame
from stemdask.sources import formats, guard
from stemdask.sources.file_source import FileSource
from stemdask.sources.images.acquisition import Acquisition
from stemdask.sources.images.stack import OpenStack
from stemdask.sources.packed import pack
from stemdask.sources.per_file import once_per_file
from stemdask.units import sides

#: Squares of larger ones, and of the inverse of larger ones, are none in float32.
_LARGEST = 1e18


class ImageSource(FileSource):
    """A stack of images of one shape; plain data that a task carries to another machine."""

    kind: Literal["images"] = "images"
    dataset: int = 0
    """Which of the images inside each file."""
    title: str
    shape: tuple[int, int]
    """(ny, nx)."""
    dtype: str
    pixel_size: tuple[float, float]
    """nm along (y, x); 1 where it isn't known."""
    offset: tuple[float, float]
    calibrated: bool
    acquisition: Acquisition = Acquisition()

    @property
    def wide(self) -> bool:
        """Whether the pixels need float64; otherwise float32 holds them exactly."""
        dtype = np.dtype(self.dtype)
        return dtype.itemsize > 4 or (dtype.kind in "iu" and dtype.itemsize == 4)

    def read(self, index: int) -> ImageFrame:
        """Read one frame; InputError where the file isn't what was planned."""
        file, number, first = self.locate(index)
        number -= first
        file.check_unchanged()
        with guard.reading(file.path):
            pixels = open_once(file.path, self.format)[self.dataset].read(number)
        if pixels.shape != self.shape:
            raise InputError(
                f"frame {number} has {by(pixels.shape)} pixels, the others {by(self.shape)}", where=file.path
            )
        if pixels.dtype.kind not in "iufb":
            raise InputError(f"pixels of type {pixels.dtype} are not intensities", where=file.path)
        values = np.array(pixels, dtype=np.float64 if self.wide else np.float32, order="C")
        if pixels.dtype.kind == "f":
            finite = np.isfinite(values)
            values[~finite] = np.nan  # infinite is what a missing or saturated pixel may read as
            _check_range(values, finite, number, file.path)
        padding = find_padding(values)
        if padding is not None:
            values[padding] = np.nan
        return ImageFrame(
            index=index,
            pixels=values,
            pixel_size=self.pixel_size,
            offset=self.offset,
            calibrated=self.calibrated,
        )

    def only(self, index: int) -> ImageSource:
        """Return one frame as a source of its own, which names no other file."""
        file, number, first = self.locate(index)
        alone = (number - first, number - first + 1, 1)
        return self.model_copy(update={"files": (file,), "ends": pack([number - first + 1]), "selection": alone})

    def describe(self) -> dict[str, Any]:
        """Return what a person wants to know about the input, in words and numbers."""
        ny, nx = self.shape
        unit = "nm" if self.calibrated else "px"
        return {
            "format": self.format,
            "title": self.title,
            "files": len(self.files),
            "frames": self.n_frames,
            "shape": f"{ny} × {nx} px",
            "dtype": self.dtype,
            "pixel size": pair(self.pixel_size, "nm") if self.calibrated else "not known",
            "field of view": pair((ny * self.pixel_size[0], nx * self.pixel_size[1]), unit),
            "offset": f"y {self.offset[0]:.6g}, x {self.offset[1]:.6g} {unit}",
            **self.acquisition.describe(),
            "warnings": list(self.warnings),
        }


def _check_range(values: Array, finite: Booleans, number: int, path: str) -> None:
    """Refuse pixels whose squares, or those of their differences, are beyond what float32 holds."""
    low = float(np.min(values, where=finite, initial=np.inf))
    high = float(np.max(values, where=finite, initial=-np.inf))
    if max(-low, high) > _LARGEST or 0 < high - low < 1 / _LARGEST:
        raise InputError(
            f"the pixels of frame {number} reach from {low:.3g} to {high:.3g}",
            where=path,
            allowed=f"values up to {_LARGEST:g} that differ by {1 / _LARGEST:g} or more",
            remedy="Multiply the images by a constant, which changes nothing else; write missing pixels as NaN",
        )


@once_per_file(4)
def open_once(path: str, fmt: str) -> list[OpenStack]:
    """Open a file once a process, and again when it was replaced."""
    return formats.IMAGES[fmt].open(path)


def by(shape: Sequence[int]) -> str:
    """Write a shape as "413 × 469"."""
    return " × ".join(map(str, shape))


def pair(values: tuple[float, float], unit: str) -> str:
    """Write a length along (y, x), once where both are the same."""
    return f"{sides(values[:1] if values[0] == values[1] else values, 6)} {unit}"
