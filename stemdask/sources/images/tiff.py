"""TIFF page by page through tifffile: rosettasciio's lazy TIFF is the whole file at once, without ImageJ's unit.

A TIFF that was cut off opens without an error in every reader, with fewer pages: the offset of the next page points
behind the end of the file and is dropped. So the chain is followed here first.
"""

from __future__ import annotations

import math
import re
import struct
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.guard import check_budget
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.headers import check_size, colour
from stemdask.sources.images.pictures import grey_of
from stemdask.sources.images.stack import OpenStack, Stack, calibrate

_OME_SIZE = re.compile(r"PhysicalSize([XY])(Unit)?=\"([^\"]{1,40})\"")
_MOST_PAGES = 10_000_000
#: DigitalMicrograph's own tags: unit, scale and origin.
_DM_TAGS = {"x": (65003, 65009, 65006), "y": (65004, 65010, 65007)}
_UNITS = {"micron": "µm", "microns": "µm", "inch": ""}


def check_pages(path: str) -> list[str]:
    """Follow the chain of pages; refuse one that leaves the file, runs in a circle or lacks pixels."""
    import tifffile

    size = Path(path).stat().st_size
    n_pages = _chain(path, size)
    with tifffile.TiffFile(path, _multifile=False) as tiff:
        if not tiff.series:
            raise InputError("holds no image", where=path)
        first = tiff.pages.first
        if (first.samplesperpixel > 1 or first.photometric in (2, 3, 5, 6, 8)) and not _may_be_grey(tiff):
            raise colour(path, str(getattr(first.photometric, "name", first.photometric)))
        for series in tiff.series:
            _, frame_shape, n_channels = _lengths(series)
            check_budget(path, math.prod(frame_shape) * n_channels * max(4, series.dtype.itemsize))
            pages: Any = series.pages
            for page in pages:
                if page is None:
                    raise InputError("a page is missing", where=path)
                stop = max((at + n for at, n in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
                check_size(path, stop, size)
                if len(page.dataoffsets) < (n_parts := math.prod(page.keyframe.chunked)):
                    raise InputError(f"a page has {len(page.dataoffsets)} of its {n_parts} strips or tiles", where=path)
                if page.keyframe.compression == 1 and sum(page.databytecounts) * 8 < _row_bits(page.keyframe):
                    raise InputError("a page has fewer bytes than one row of pixels", where=path)
            if series.dataoffset is not None:
                check_size(path, series.dataoffset + series.size * series.dtype.itemsize, size)
        _check_count(path, tiff, n_pages)
        others = 0 if _are_apart(tiff) else sum(_lengths(series)[0] for series in tiff.series[1:])
    return [f"{others} images of another size, such as previews, are not read"] if others else []


def open_tiff(path: str) -> list[OpenStack]:
    """Open the grey pages of a TIFF as a stack.

    Pages that a writer put into series of their own, all of one shape, are one stack.
    """
    import tifffile

    tiff = tifffile.TiffFile(path, _multifile=False)  # an OME file may name others anywhere on the disk
    tiff.filehandle.set_lock(True)
    first = tiff.series[0]
    apart = _are_apart(tiff)
    n_frames, (ny, nx), n_channels = _lengths(first)
    shape = (ny, nx, n_channels) if n_channels > 1 else (ny, nx)
    dtype = first.dtype.newbyteorder(tiff.byteorder)
    n_frames = len(tiff.series) if apart else n_frames

    def read(index: int) -> Array:
        values = pixels(index)
        return grey_of(path, values, "RGB" if n_channels == 3 else "RGBA") if n_channels > 1 else values

    def pixels(index: int) -> Array:
        if first.dataoffset is not None and not apart:
            n = math.prod(shape)
            return np.fromfile(path, dtype, n, offset=first.dataoffset + index * n * dtype.itemsize).reshape(shape)
        page = tiff.series[index].pages[0] if apart else first.pages[index]
        return np.asarray(page.asarray()) if page is not None else np.empty((0, 0))

    weakref.finalize(read, tiff.close)
    return [OpenStack(Stack(Path(path).stem, (n_frames, ny, nx), dtype, calibrate(_axes(tiff))), read)]


def _are_apart(tiff: Any) -> bool:
    """Tell whether its frames are series of their own."""
    return len(tiff.series) > 1 and all(series.shape == tiff.series[0].shape for series in tiff.series)


def _may_be_grey(tiff: Any) -> bool:
    """Tell whether its pages are red, green and blue side by side, as everyday programs save grey images too."""
    pages = [series.keyframe for series in tiff.series]
    return all(
        page.photometric == 2
        and page.planarconfig == 1
        and page.samplesperpixel in (3, 4)
        and page.dtype in (np.uint8, np.uint16)
        for page in pages
    )


def _lengths(series: Any) -> tuple[int, tuple[int, int], int]:
    """Return the number of frames, (ny, nx) and the number of channels."""
    shape = [int(length) for length in series.shape]
    n_channels = shape.pop() if series.axes.endswith("S") else 1
    return math.prod(shape[:-2]), (shape[-2], shape[-1]), n_channels


def _axes(tiff: Any) -> list[dict[str, Any]]:
    """Return scale, offset and unit along (y, x) as ImageJ, OME, DigitalMicrograph, FEI or TVIPS state them."""
    tags = tiff.pages.first.tags
    stated = {code: tags[code].value for code in (*_DM_TAGS["y"], *_DM_TAGS["x"]) if code in tags}
    if all(_DM_TAGS[axis][1] in stated for axis in "yx"):
        return [
            {"units": stated.get(unit), "scale": stated[scale], "offset": stated.get(offset, 0.0)}
            for unit, scale, offset in (_DM_TAGS["y"], _DM_TAGS["x"])
        ]
    if tiff.ome_metadata is not None:
        found = {(axis, bool(unit)): value for axis, unit, value in _OME_SIZE.findall(tiff.ome_metadata[:1_000_000])}
        if all((axis, False) in found for axis in "YX"):
            return [{"scale": found[axis, False], "units": found.get((axis, True), "µm")} for axis in "YX"]
    if tiff.imagej_metadata and tiff.imagej_metadata.get("unit"):
        unit = str(tiff.imagej_metadata["unit"]).replace("\\u00B5", "µ")
        pixels = [tags[name].value for name in ("YResolution", "XResolution") if name in tags]
        return [{"scale": below / above, "units": _UNITS.get(unit, unit)} for above, below in pixels if above]
    if (scan := (tiff.fei_metadata or {}).get("Scan", {})) and "PixelWidth" in scan:
        return [{"scale": scan[name], "units": "m"} for name in ("PixelHeight", "PixelWidth")]
    if "PixelSizeX" in (tvips := tiff.tvips_metadata or {}):
        return [{"scale": tvips[name], "units": "nm"} for name in ("PixelSizeY", "PixelSizeX")]
    return []


def _row_bits(page: Any) -> int:
    return int(page.imagewidth) * int(page.bitspersample)


def _chain(path: str, size: int) -> int:
    """Return the number of pages in the chain."""
    with Path(path).open("rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        big = struct.unpack(order + "H", head[2:4])[0] == 43
        count, entry, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
        (offset,) = struct.unpack_from(order + pointer, head, 8 if big else 4)
        seen = set[int]()
        while offset:
            if offset in seen:
                raise InputError("its pages point at each other in a circle", where=path)
            seen.add(offset)
            if len(seen) > _MOST_PAGES:
                raise InputError(f"more than {_MOST_PAGES} pages", where=path)
            check_size(path, offset + struct.calcsize(order + count), size)
            file.seek(offset)
            (entries,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
            behind = offset + struct.calcsize(order + count) + entries * entry
            check_size(path, behind + struct.calcsize(order + pointer), size)
            tags = file.read(entries * entry)
            if (0, 0) in zip(tags[2::entry], tags[3::entry], strict=True):  # no tag has type 0
                raise InputError(
                    f"the tags of page {len(seen) - 1} are damaged",
                    where=path,
                    remedy="Copy the file again from its origin",
                )
            (offset,) = struct.unpack(order + pointer, file.read(struct.calcsize(order + pointer)))
    return len(seen)


def _check_count(path: str, tiff: Any, n_pages: int) -> None:
    """Compare the number of frames that ImageJ states, and of pixels that tifffile does, with those found."""
    found = sum(_lengths(series)[0] for series in tiff.series)
    stated = int((tiff.imagej_metadata or {}).get("images", found))
    n_pixels = sum(int(series.size) for series in tiff.series)
    n_stated = sum(math.prod(map(int, one.get("shape", (0,)))) for one in tiff.shaped_metadata or ())
    if stated > found or n_stated > n_pixels:
        what = f"{stated} images, {found}" if stated > found else f"{n_stated} pixels, {n_pixels}"
        raise InputError(
            f"states {what} are there ({n_pages} pages)",
            where=path,
            remedy="The file is cut off; copy it again from its origin",
        )


FORMAT = ImageFormat(
    name="tiff",
    suffixes=(".tif", ".tiff"),
    noun="a TIFF file",
    magic=((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+")),
    check=check_pages,
    open=open_tiff,
)
