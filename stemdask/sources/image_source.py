"""Images as a source: plain data that a task carries, from which any frame can be read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from stemdask.errors import InputError
from stemdask.model import ImageFrame
from stemdask.sources import guard, image_formats
from stemdask.sources.packed import unpack
from stemdask.sources.source_file import SourceFile
from stemdask.sources.stack import OpenStack


class ImageSource(BaseModel):
    """A stack of images of one shape; plain data that a task carries to another machine."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["images"] = "images"
    format: str
    files: tuple[SourceFile, ...]
    ends: str
    """Number of frames up to the end of each file; packed integers."""
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
    selection: tuple[int, int, int]
    """Start, stop and step of the chosen frames among all."""
    warnings: tuple[str, ...] = ()

    @property
    def n_frames(self) -> int:
        """Number of chosen frames."""
        return len(range(*self.selection))

    @property
    def wide(self) -> bool:
        """Whether the pixels need float64; otherwise float32 holds them exactly."""
        dtype = np.dtype(self.dtype)
        return dtype.itemsize > 4 or (dtype.kind in "iu" and dtype.itemsize == 4)

    def read(self, index: int) -> ImageFrame:
        """Read one frame; InputError where the file isn't what was planned."""
        file, number = self._locate(index)
        guard.check_unchanged(file.path, file.digest)
        with guard.reading(file.path):
            pixels = open_once(file.path, self.format, file.digest)[self.dataset].read(number)
        if pixels.shape != self.shape:
            raise InputError(
                f"frame {number} has {by(pixels.shape)} pixels, the others {by(self.shape)}", where=file.path
            )
        if pixels.dtype.kind not in "iufb":
            raise InputError(f"pixels of type {pixels.dtype} are not intensities", where=file.path)
        values = np.array(pixels, dtype=np.float64 if self.wide else np.float32, order="C")
        if pixels.dtype.kind == "f":
            values[~np.isfinite(values)] = np.nan  # infinite is what a missing or saturated pixel may read as
        return ImageFrame(
            index=index,
            pixels=values,
            pixel_size=self.pixel_size,
            offset=self.offset,
        )

    def file_of(self, index: int) -> str:
        """Return the path of the file that holds the frame."""
        return self._locate(index)[0].path

    def identity(self) -> list[tuple[str, int, str]]:
        """Return (file, size in bytes, hash of head and tail) of every file."""
        return [(file.path, file.size, file.digest) for file in self.files]

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
            "offset": pair(self.offset, unit),
            "warnings": list(self.warnings),
        }

    def _locate(self, index: int) -> tuple[SourceFile, int]:
        number = range(*self.selection)[index]
        ends = unpack(self.ends)
        which = int(np.searchsorted(ends, number, side="right"))
        return self.files[which], number - (int(ends[which - 1]) if which else 0)


@lru_cache(maxsize=4)
def open_once(path: str, fmt: str, digest: str) -> list[OpenStack]:
    """Open a file once a process; `digest` is part of the key so that a replaced file isn't taken for the old one."""
    del digest
    return image_formats.open_stacks(path, fmt)


def by(shape: Sequence[int]) -> str:
    """Write a shape as "413 × 469"."""
    return " × ".join(map(str, shape))


def pair(values: tuple[float, float], unit: str) -> str:
    """Write a length along (y, x), once where both are the same."""
    return f"{values[0]:.6g} {unit}" if values[0] == values[1] else f"{by([f'{v:.6g}' for v in values])} {unit}"  # type: ignore[misc]
