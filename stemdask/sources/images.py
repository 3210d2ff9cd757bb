"""Opening images: every check that the frames of a run are one stack, and what was found in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from warnings import catch_warnings

import numpy as np

from stemdask.errors import InputError
from stemdask.sources import guard, hdf5, headers, tiff
from stemdask.sources.image_source import ImageSource, by, open_once, pair
from stemdask.sources.packed import pack
from stemdask.sources.paths import find_files
from stemdask.sources.source_file import SourceFile
from stemdask.sources.stack import Stack

if TYPE_CHECKING:
    import xarray as xr

#: Files that are opened to compare shape and pixel size; of more, this many evenly spaced ones.
_PROBED = 256
_SMALLEST = 8


def open_image_files(
    files: Sequence[str],
    fmt: str,
    *,
    pixel_size: float | None = None,
    frames: slice | None = None,
) -> ImageSource:
    """Open image files of one format as one stack.

    Of several images in each file the one with most frames, then most pixels, then annular dark field is read.

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

    Raises
    ------
    InputError
        A file can't be read, holds no image, is RGB, or differs in shape or pixel size from the first.
    """
    sizes = [_size(file, fmt) for file in files]
    spacing = max(1, len(files) // _PROBED)
    said: list[str] = []
    probed: dict[int, Stack] = {}
    dataset: int | None = None
    for at in sorted({*range(0, len(files), spacing), len(files) - 1}):
        stacks, warnings = _probe(files[at], fmt, sizes[at])
        said += warnings
        if dataset is None:
            dataset = max(range(len(stacks)), key=lambda k: (stacks[k].shape, "ADF" in stacks[k].title.upper()))
            if len(stacks) > 1:
                titles = ", ".join(stack.title for stack in stacks)
                said.append(f"{files[at]} holds {len(stacks)} images ({titles}): {stacks[dataset].title} is read")
        if dataset >= len(stacks):
            raise InputError(
                f"holds {len(stacks)} images, but number {dataset + 1} is read of the first file",
                where=files[at],
                remedy="Name only files that hold the same images",
            )
        _check(stacks[dataset], files[at], fmt, sizes[at])
        probed[at] = stacks[dataset]
    said += _compare(files, probed, pixel_size)
    first = probed[0]
    size, offset = first.calibration.pixel_size, first.calibration.offset
    if pixel_size is not None:
        if size is not None:
            offset = (offset[0] * pixel_size / size[0], offset[1] * pixel_size / size[1])
        size = (pixel_size, pixel_size)
    elif size is None:
        said.append(f"{first.calibration.problem}: lengths are in pixels until a pixel size is given")
    counts = [probed[at].shape[0] if at in probed else 1 for at in range(len(files))]
    chosen = (frames or slice(None)).indices(sum(counts))
    if not range(*chosen):
        raise InputError(f"the range of frames chooses none of {sum(counts)}", where=files[0])
    source = ImageSource(
        format=fmt,
        files=tuple(
            SourceFile(path=file, size=n_bytes, digest=guard.digest(file))
            for file, n_bytes in zip(files, sizes, strict=True)
        ),
        ends=pack(np.cumsum(counts)),
        dataset=dataset or 0,
        title=first.title,
        shape=first.shape[1:],
        dtype=str(np.result_type(*(stack.dtype for stack in probed.values()))),
        pixel_size=size or (1.0, 1.0),
        offset=offset,
        calibrated=size is not None,
        selection=chosen,
    )
    return source.model_copy(update={"warnings": guard.in_short(said + _try_frames(source))})


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
    from stemdask.sources.xarray_view import image_array

    _, fmt, files = find_files(path, "images")
    return image_array(open_image_files(files, fmt, pixel_size=pixel_size, frames=frames))


def _size(path: str, fmt: str) -> int:
    if fmt != "zarr":
        return guard.check_file(path, fmt)
    with guard.reading(path):
        return sum(p.stat().st_size for p in Path(path).rglob("*") if p.is_file())


def _probe(path: str, fmt: str, size: int) -> tuple[list[Stack], list[str]]:
    """Check a file, open it and return what it holds, without its pixels, and warnings."""
    warnings: list[str] = []
    with guard.reading(path), guard.in_time(path), catch_warnings(action="ignore"):
        headers.check_header(path, fmt, size)
        if fmt == "tiff":
            tiff.check_pages(path, size)
        elif fmt in ("hspy", "emd"):
            warnings = hdf5.check_tree(path)
        stacks = [opened.stack for opened in open_once(path, fmt, guard.digest(path))]
    return stacks, warnings + [f"{path}: {problem}" for stack in stacks for problem in stack.problems]


def _check(stack: Stack, path: str, fmt: str, size: int) -> None:
    """Refuse what can't be analysed, or read, as images."""
    n_frames, ny, nx = stack.shape
    if min(ny, nx) < _SMALLEST or n_frames < 1:
        raise InputError(
            "too small for an image", where=path, value=by(stack.shape), allowed=f"{_SMALLEST} × {_SMALLEST}"
        )
    if stack.dtype.kind not in "iufb":
        raise InputError(f"pixels of type {stack.dtype} are not intensities", where=path)
    guard.check_budget(path, ny * nx * max(4, stack.dtype.itemsize))
    if fmt == "dm":
        headers.check_size(path, n_frames * ny * nx * stack.dtype.itemsize, size)


def _compare(files: Sequence[str], probed: dict[int, Stack], pixel_size: float | None) -> list[str]:
    """Refuse files that aren't one stack; say what differs and does no harm."""
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
                allowed=f"up to {_PROBED} files of several frames, or any number of files of one",
                remedy="Join the files to fewer stacks",
            )
        said.append(f"{len(probed)} of {len(files)} files were opened; a frame of another shape fails when it is read")
    if len(dtypes := {str(stack.dtype) for stack in probed.values()}) > 1:
        said.append(f"the files differ in their number format: {', '.join(sorted(dtypes))}")
    if any(stack.calibration.offset != first.calibration.offset for stack in probed.values()):
        said.append(f"the files differ in the offset of their axes; that of {files[0]} holds for all")
    return said


def _try_frames(source: ImageSource) -> list[str]:
    """Read the first and the last frame; say what is odd, raise where neither can be read."""
    said: list[str] = []
    failures: list[InputError] = []
    tried = sorted({0, source.n_frames - 1})
    for index in tried:
        try:
            missing = int(np.isnan(source.read(index).pixels).sum())
        except InputError as error:
            failures.append(error)
            said.append(f"frame {index} can't be read: {error}")
            continue
        if missing:
            said.append(f"frame {index} has {missing} pixels that are not finite; they are taken as missing")
    if len(failures) == len(tried):
        raise failures[0]
    return said
