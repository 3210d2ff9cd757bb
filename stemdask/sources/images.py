"""Images as a source: files that hold one image or a stack each, read one frame at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from stemdask.errors import InputError
from stemdask.model import ImageFrame
from stemdask.sources import guard
from stemdask.sources.image_formats import OpenStack, open_stacks
from stemdask.sources.paths import find_files

if TYPE_CHECKING:
    import xarray as xr

#: Files that are opened to compare shape and pixel size; of more, this many evenly spaced ones.
_PROBED = 256


class ImageFile(BaseModel):
    """One file of a stack."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    digest: str
    n_frames: int


class ImageSource(BaseModel):
    """A stack of images of one shape; plain data that a task carries to another machine."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["images"] = "images"
    format: str
    files: tuple[ImageFile, ...]
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
            pixels = _opened(file.path, self.format, file.digest)[self.dataset].read(number)
        if pixels.shape != self.shape:
            raise InputError(
                f"frame {number} has {_by(pixels.shape)} pixels, the others {_by(self.shape)}", where=file.path
            )
        if pixels.dtype.kind not in "iufb":
            raise InputError(f"pixels of type {pixels.dtype} are not intensities", where=file.path)
        return ImageFrame(
            index=index,
            pixels=np.array(pixels, dtype=np.float64 if self.wide else np.float32, order="C"),
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
            "pixel size": _pair(self.pixel_size, "nm") if self.calibrated else "not known",
            "field of view": _pair((ny * self.pixel_size[0], nx * self.pixel_size[1]), unit),
            "offset": _pair(self.offset, unit),
            "warnings": list(self.warnings),
        }

    def _locate(self, index: int) -> tuple[ImageFile, int]:
        number = range(*self.selection)[index]
        if len(self.files) == 1:
            return self.files[0], number
        ends = _ends(self.files)
        which = int(np.searchsorted(ends, number, side="right"))
        return self.files[which], number - (int(ends[which - 1]) if which else 0)


def open_image_files(
    files: Sequence[str],
    fmt: str,
    *,
    pixel_size: float | None = None,
    frames: slice | None = None,
    dataset: int | None = None,
) -> ImageSource:
    """Open image files of one format as one stack.

    Parameters
    ----------
    files
        Paths in the order of the frames.
    fmt
        Format name of `stemdask.sources.paths.FORMATS`.
    pixel_size
        nm; overrides the files.
    frames
        Chosen frames.
    dataset
        Which of several images in each file; the one with most frames, then most pixels, when None.

    Raises
    ------
    InputError
        A file can't be read, holds no image, is RGB, or differs in shape or pixel size from the first.
    """
    sizes = [guard.check_file(file, fmt) if fmt != "zarr" else 0 for file in files]
    step = max(1, len(files) // _PROBED)
    probed = sorted({*range(0, len(files), step), len(files) - 1})
    opened = {}
    for at in probed:
        stacks = _open_safely(files[at], fmt)
        if dataset is None:
            dataset = max(range(len(stacks)), key=lambda k: stacks[k].shape)
        if dataset >= len(stacks):
            raise InputError(f"holds {len(stacks)} images, number {dataset} was asked for", where=files[at])
        opened[at] = stacks[dataset]
    first = opened[0]
    _check_alike(files, opened, compare_pixel_size=pixel_size is None)
    if step > 1 and any(stack.shape[0] != 1 for stack in opened.values()):
        raise InputError(
            f"{len(files)} files of several frames each", remedy=f"Give at most {_PROBED} such files at once"
        )
    said = []
    if len(_open_safely(files[0], fmt)) > 1:
        said.append(f"{files[0]} holds several images; number {dataset} ({first.title}) is read")
    if step > 1:
        said.append(f"{len(probed)} of {len(files)} files were opened; a frame of another shape fails when it is read")
    dtypes = Counter(str(stack.dtype) for stack in opened.values())
    if len(dtypes) > 1:
        said.append("the files differ in their number format: " + ", ".join(dtypes))
    size, offset = first.calibration.pixel_size, first.calibration.offset
    if any(stack.calibration.offset != offset for stack in opened.values()):
        said.append(f"the files differ in the offset of their axes; that of {files[0]} is used for all")
    if pixel_size is not None:
        if size is not None:
            offset = (offset[0] * pixel_size / size[0], offset[1] * pixel_size / size[1])
        size = (pixel_size, pixel_size)
    elif size is None:
        said.append(f"{first.calibration.problem}: lengths are in pixels until a pixel size is given")
    total = sum(opened[at].shape[0] if at in opened else 1 for at in range(len(files)))
    return ImageSource(
        format=fmt,
        files=tuple(
            ImageFile(
                path=file,
                size=sizes[at],
                digest=guard.digest(file),
                n_frames=opened[at].shape[0] if at in opened else 1,
            )
            for at, file in enumerate(files)
        ),
        dataset=dataset or 0,
        title=first.title,
        shape=first.shape[1:],
        dtype=str(np.result_type(*(stack.dtype for stack in opened.values()))),
        pixel_size=size or (1.0, 1.0),
        offset=offset,
        calibrated=size is not None,
        selection=(frames or slice(None)).indices(total),
        warnings=tuple(said),
    )


def open_images(
    path: str | Path | Sequence[str | Path], *, pixel_size: float | None = None, frames: slice | None = None
) -> xr.DataArray:
    """Open images as a lazy array (frame, y, x); coordinates in nm, one chunk a frame.

    Parameters
    ----------
    path
        File, folder, glob or list of these.
    pixel_size
        nm; overrides the file.
    frames
        Chosen frames.

    Returns
    -------
    DataArray
        float32 (float64 where the file has more); `attrs` hold title, pixel_size and warnings.
    """
    from stemdask.sources.xarray_engine import image_array

    _, fmt, files = find_files(path, "images")
    return image_array(open_image_files(files, fmt, pixel_size=pixel_size, frames=frames))


def _open_safely(path: str, fmt: str) -> list[OpenStack]:
    with guard.reading(path):
        stacks = _opened(path, fmt, guard.digest(path))
    for stack in stacks:
        _, ny, nx = stack.shape
        guard.check_budget(path, ny * nx * max(4, stack.dtype.itemsize))
    return stacks


@lru_cache(maxsize=4)
def _opened(path: str, fmt: str, digest: str) -> list[OpenStack]:
    """Open a file once a process; `digest` is part of the key so that a replaced file isn't taken for the old one."""
    del digest
    return open_stacks(path, fmt)


@lru_cache(maxsize=4)
def _ends(files: tuple[ImageFile, ...]) -> Any:
    return np.cumsum([file.n_frames for file in files])


def _check_alike(files: Sequence[str], opened: dict[int, OpenStack], *, compare_pixel_size: bool) -> None:
    first = opened[0]
    for at, stack in opened.items():
        if stack.shape[1:] != first.shape[1:]:
            raise InputError(
                f"{_by(stack.shape[1:])} pixels, but {files[0]} has {_by(first.shape[1:])}",
                where=files[at],
                remedy="Give frames of one shape: choose them with a glob, or crop them",
            )
        one, other = first.calibration.pixel_size, stack.calibration.pixel_size
        same = (one is None) == (other is None) and (one is None or np.allclose(one, other or 0.0, rtol=1e-3))
        if compare_pixel_size and not same:
            raise InputError(
                f"pixel size {_pair(other, 'nm') if other else 'not known'}, "
                f"but {files[0]} has {_pair(one, 'nm') if one else 'none'}",
                where=files[at],
                remedy="Give frames of one magnification, or state the pixel size that holds for all",
            )


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _pair(values: tuple[float, float], unit: str) -> str:
    return f"{values[0]:.6g} {unit}" if values[0] == values[1] else f"{values[0]:.6g} × {values[1]:.6g} {unit}"
