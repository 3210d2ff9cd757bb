"""Images of the formats that rosettasciio reads lazily: its signals without spectra, y and x last."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError
from stemdask.kernels.arrays import Array
from stemdask.sources.images.acquisition import Acquisition
from stemdask.sources.images.headers import colour
from stemdask.sources.images.stack import Calibration, OpenStack, Stack, calibrate

#: Units of the axes of diffraction patterns and Fourier transforms.
_RECIPROCAL = re.compile(r"\s*(1\s*/\s*\S+|\S+\s*(\^|\*\*)?-1|m?rad)\s*")


@dataclass(frozen=True, slots=True)
class ImageSignal:
    """One image, or stack of images, of a file."""

    title: str
    number: int
    """Among all signals of the file, images or not."""
    frames: Any
    """Dask array, (n_frames, ny, nx)."""
    calibration: Calibration
    acquisition: Acquisition
    stored: int
    """Values that a DigitalMicrograph file says it stores of it; 0 for other formats."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return int(math.prod(self.frames.shape[1:]) * self.frames.dtype.itemsize)

    def read(self, index: int) -> Array:
        """Read one frame; the caller is a worker thread already, hence no second pool of threads."""
        return computed(self.frames[index])

    def opened(self, read: Callable[[int], Array] | None = None, problems: tuple[str, ...] = ()) -> OpenStack:
        """Return it as a stack that is read by Dask or by `read`."""
        frames = self.frames
        stack = Stack(self.title, frames.shape, frames.dtype, self.calibration, problems, self.acquisition)
        return OpenStack(stack, read or self.read)


def computed(frames: Any) -> Array:
    """Compute a Dask array in this thread."""
    from dask.local import get_sync

    return np.asarray(frames.compute(scheduler=get_sync))  # by its name, Dask would import distributed to find it


def image_signals(path: str, reader: str) -> list[ImageSignal]:
    """Return the images of a file; spectra and tables are left out.

    Parameters
    ----------
    path
        File.
    reader
        Module of rosettasciio.

    Raises
    ------
    InputError
        A colour image, or none at all.
    """
    found = importlib.import_module(reader).file_reader(path, lazy=True)
    signals = [signal for signal in found if "data" in signal]  # the last ones may be models without their signal
    images = [_image(path, signal, number) for number, signal in enumerate(signals) if _is_image(path, signal)]
    if not images:
        held = ", ".join(_described(signal) for signal in signals[:4])
        raise InputError(
            f"holds no image ({held or 'nothing'})",
            where=path,
            remedy="Export the images; spectra, diffraction patterns and complex numbers can't be analysed",
        )
    return images


def _described(signal: Mapping[str, Any]) -> str:
    units = {str(axis["units"]) for axis in signal["axes"] if _is_reciprocal(axis)}
    return " in ".join([f"{signal['data'].dtype} {signal['data'].shape}", *sorted(units)])


def _image(path: str, signal: Mapping[str, Any], number: int) -> ImageSignal:
    axes = [dict(axis) for axis in signal["axes"]]
    order = _image_axes_last([str(axis.get("name") or "") for axis in axes])
    data, axes = signal["data"].transpose(order), [axes[k] for k in order]
    return ImageSignal(
        title=str(signal.get("metadata", {}).get("General", {}).get("title") or Path(path).stem),
        number=number,
        frames=data.reshape((math.prod(data.shape[:-2]), data.shape[-2], data.shape[-1])),
        calibration=calibrate(axes[-2:]),
        acquisition=Acquisition.of(signal),
        stored=int(_tag(signal, "ImageData", "Data", "size") or 0),
    )


def _is_image(path: str, signal: Mapping[str, Any]) -> bool:
    """Tell an image, of whose last two axes none was scanned, and none is a frequency or an angle."""
    data, axes = signal["data"], signal["axes"]
    if data.dtype.names is not None:
        raise colour(path, "RGB")
    if data.ndim < 2 or data.ndim != len(axes) or axes[-2].get("navigate"):
        return False
    # Complex numbers are a Fourier transform or a phase contrast.
    return data.dtype.kind != "c" and not _is_spectral(signal) and not any(map(_is_reciprocal, axes[-2:]))


def _is_reciprocal(axis: Mapping[str, Any]) -> bool:
    """Tell an axis of a diffraction pattern."""
    return _RECIPROCAL.fullmatch(str(axis.get("units"))) is not None


def _is_spectral(signal: Mapping[str, Any]) -> bool:
    """Tell a spectrum image, whose "frames" would be channels of energy."""
    kind = str(signal.get("metadata", {}).get("Signal", {}).get("signal_type", ""))
    if kind.startswith(("EELS", "EDS")) or any(str(axis.get("units")) in ("eV", "keV") for axis in signal["axes"]):
        return True
    return str(_tag(signal, "ImageTags", "Meta Data", "Format")).startswith("Spectrum")


def _tag(signal: Mapping[str, Any], *names: str) -> Any:
    """Return a tag of DigitalMicrograph; an empty mapping where there is none."""
    found: Any = signal.get("original_metadata", {})
    for name in ("ImageList", "TagGroup0", *names):
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found


def _image_axes_last(names: list[str]) -> list[int]:
    """Return the order of axes that puts y and x last, where both are named; writers of EMD differ in it."""
    order = list(range(len(names)))
    if names.count("y") == names.count("x") == 1:
        last = [names.index("y"), names.index("x")]
        order = [k for k in order if k not in last] + last
    return order
