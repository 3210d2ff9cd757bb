"""Opening images: every check that the frames of a run are one stack, and what was found in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from warnings import catch_warnings

import numpy as np

from stemdask.errors import InputError
from stemdask.fence import inside
from stemdask.kernels.images.stacks.far_pixels import count_far_pixels
from stemdask.model import Kind
from stemdask.sources import formats, guard
from stemdask.sources.content import check_file
from stemdask.sources.file_source import select
from stemdask.sources.first_look import look_at
from stemdask.sources.images import one_stack
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.source import ImageSource, open_once
from stemdask.sources.images.stack import Calibration, Stack
from stemdask.sources.many import of_each
from stemdask.sources.packed import pack
from stemdask.sources.paths import find_files
from stemdask.sources.per_file import forget_if_changed
from stemdask.sources.source_file import SourceFile

if TYPE_CHECKING:
    import xarray as xr

#: How it is given.
_AS = "(input.pixel_size, such as '0.0297 nm')"


def open_image_files(
    files: Sequence[str],
    fmt: str,
    *,
    half: Kind | None = "images",
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
        Name of a format in `stemdask.sources.formats.IMAGES`, that of the first file.
    half
        What was asked for; None where the content of a file may be that of structures, which is an error then.
    pixel_size
        nm; overrides the files.
    frames
        Chosen frames.

    Raises
    ------
    InputError
        A file can't be read, holds no image, is RGB, or differs in shape or pixel size from the first.
    """
    record = formats.IMAGES[fmt]

    def looked_into(path: str) -> SourceFile:
        file = look_at(path)
        check_file(file, record, half)
        return SourceFile.of(file)

    looked = tuple(of_each(looked_into, files))
    probed, dataset, said = _probe_all(looked, record)
    said += one_stack.compare(files, probed, pixel_size)
    first = probed[0]
    size, offset = _calibration(first.calibration, pixel_size)
    if size is None:
        said.append(f"{first.calibration.problem}: lengths are in pixels until a pixel size is given {_AS}")
    counts = [probed[at].shape[0] if at in probed else 1 for at in range(len(files))]
    source = ImageSource(
        format=fmt,
        files=looked,
        ends=pack(np.cumsum(counts)),
        dataset=dataset,
        title=first.title,
        shape=first.shape[1:],
        dtype=str(np.result_type(*(stack.dtype for stack in probed.values()))),
        pixel_size=size or (1.0, 1.0),
        offset=offset,
        calibrated=size is not None,
        acquisition=first.acquisition,
        selection=select(frames, sum(counts), files[0]),
    )
    return source.model_copy(update={"warnings": guard.in_short(said + _try_frames(source))})


def open_images(
    path: str | Path | Sequence[str | Path], *, pixel_size: float | None = None, frames: slice | None = None
) -> xr.DataArray:
    """Open images as a lazy array (frame, y, x), one chunk per frame; coordinates in nm, or in px.

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

    Examples
    --------
    >>> import stemdask as sd
    >>> images = sd.open_images("stack.npy", pixel_size=0.0297)
    >>> images.dims, images.shape
    (('frame', 'y', 'x'), (1, 128, 128))
    """
    from stemdask.sources.xarray_view import image_array

    _, fmt, files = find_files(path, "images")
    return image_array(open_image_files(files, fmt, pixel_size=pixel_size, frames=frames))


def _probe_all(files: Sequence[SourceFile], fmt: ImageFormat) -> tuple[dict[int, Stack], int, list[str]]:
    """Open evenly spaced files; return their stacks by place, which image of each file is read, and warnings."""
    said: list[str] = []
    probed: dict[int, Stack] = {}
    dataset: int | None = None
    spacing = max(1, len(files) // one_stack.MOST_PROBED)
    for at in sorted({*range(0, len(files), spacing), len(files) - 1}):
        path = files[at].path
        stacks, warnings = _probe(path, fmt)
        said += warnings
        if dataset is None:
            dataset = max(range(len(stacks)), key=lambda k: (stacks[k].shape, "ADF" in stacks[k].title.upper()))
            if len(stacks) > 1:
                titles = ", ".join(stack.title for stack in stacks)
                said.append(f"{path} holds {len(stacks)} images ({titles}): {stacks[dataset].title} is read")
        if dataset >= len(stacks):
            raise InputError(
                f"holds {len(stacks)} images, but number {dataset + 1} is the one being read from the first file",
                where=path,
                remedy="Name only files that hold the same images",
            )
        one_stack.check(stacks[dataset], path, fmt, files[at].size)
        probed[at] = stacks[dataset]
    return probed, dataset or 0, said


def _probe(path: str, fmt: ImageFormat) -> tuple[list[Stack], list[str]]:
    """Check a file, open it and return what it holds, without its pixels, and warnings."""
    inside.beat(path)
    with guard.reading(path), guard.in_time(path), catch_warnings(action="ignore"):
        forget_if_changed(path)
        warnings = fmt.check(path)
        stacks = [opened.stack for opened in open_once(path, fmt.name)]
    return stacks, warnings + [f"{path}: {problem}" for stack in stacks for problem in stack.problems]


def _calibration(
    stated: Calibration, pixel_size: float | None
) -> tuple[tuple[float, float] | None, tuple[float, float]]:
    """Return size and offset of the pixels in nm; a size that is given keeps the offset in pixels."""
    size, offset = stated.pixel_size, stated.offset
    if pixel_size is None:
        return size, offset
    if size is not None:
        offset = (offset[0] * pixel_size / size[0], offset[1] * pixel_size / size[1])
    return (pixel_size, pixel_size), offset


def _try_frames(source: ImageSource) -> list[str]:
    """Read the first and the last frame; say what is odd, raise where neither can be read."""
    said: list[str] = []
    failures: list[InputError] = []
    tried = sorted({0, source.n_frames - 1})
    for index in tried:
        inside.beat(source.file_of(index))
        try:
            pixels = source.read(index).pixels
        except InputError as error:
            failures.append(error)
            said.append(f"frame {index} can't be read: {error}")
            continue
        if missing := int(np.isnan(pixels).sum()):
            counted = (
                "1 pixel that is not finite; it is"
                if missing == 1
                else f"{missing} pixels that are not finite or a border of one value; they are"
            )
            said.append(f"frame {index} has {counted} taken as missing")
        if hot := count_far_pixels(pixels):
            some = "1 single pixel that is" if hot == 1 else f"{hot} single pixels that are"
            said.append(
                f"frame {index} has {some} brighter than all others by far; "
                "analyses.preprocess: {hot_pixels: 6} excludes such pixels"
            )
    if len(failures) == len(tried):
        raise failures[0]
    return said
