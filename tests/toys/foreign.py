"""Files of foreign formats, made as the programs of microscopes make them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import netcdf_file

_TYPES = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "i1": 9, "u1": 10}
_KINDS = {"i2": 1, "f4": 2, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12}


def _dm_tag(name: str, value: Any, long: str) -> bytes:
    if isinstance(value, dict):
        tags = b"".join(_dm_tag(k.strip("."), v, long) for k, v in value.items())
        return _dm_entry(20, name, struct.pack(f">BB{long}", 1, 0, len(value)) + tags, long)
    if isinstance(value, str):
        value = np.frombuffer(value.encode("utf-16-le"), "<u2")
    array = np.asarray(value)
    number = _TYPES[array.dtype.str[1:]]
    info = [number] if array.ndim == 0 else [20, number, array.size]
    body = b"%%%%" + struct.pack(f">{len(info) + 1}{long}", len(info), *info) + array.tobytes()
    return _dm_entry(21, name, body, long)


def _dm_entry(kind: int, name: str, body: bytes, long: str) -> bytes:
    size = struct.pack(">q", len(body)) if long == "q" else b""
    return struct.pack(">BH", kind, len(name)) + name.encode() + size + body


def write_dm4(
    path: Path,
    data: NDArray[Any],
    *,
    scale: float = 0.02,
    origin: float = 0.0,
    units: str = "nm",
    dimensions: tuple[int, ...] | None = None,
    spectra: bool = False,
    version: int = 4,
) -> Path:
    """DigitalMicrograph 4, or 3: a tree of tags, big-endian around little-endian values."""
    lengths = dimensions or data.shape[::-1]
    axes = {
        "." * k: {"Origin": np.float32(origin), "Scale": np.float32(scale), "Units": units}
        for k in range(1, len(lengths) + 1)
    }
    image = {
        "ImageData": {
            "Calibrations": {"Dimension": axes},
            "Data": data.ravel(),
            "DataType": np.uint32(_KINDS[data.dtype.str[1:]]),
            "Dimensions": {"." * k: np.uint32(n) for k, n in enumerate(lengths, 1)},
            "PixelDepth": np.uint32(data.dtype.itemsize),
        },
        "ImageTags": {"Meta Data": {"Format": "Spectrum image"}} if spectra else {"Note": np.uint32(1)},
        "Name": "made for a test",
    }
    root = {"ImageList": {".": image}}
    long = "q" if version == 4 else "i"
    body = struct.pack(f">BB{long}", 1, 0, len(root)) + b"".join(_dm_tag(k, v, long) for k, v in root.items())
    path.write_bytes(struct.pack(f">i{long}i", version, len(body), 1) + body + bytes(8))
    return path


def write_ser(path: Path, stack: NDArray[Any], *, pixel: float = 2e-11, valid: int | None = None) -> Path:
    """TIA series of images: header, elements, then the table of their offsets."""
    n, ny, nx = stack.shape
    numbers = {"u1": 1, "u2": 2, "u4": 3, "i1": 4, "i2": 5, "i4": 6, "f4": 7, "f8": 8}
    elements = [
        struct.pack("<ddi", 0.0, pixel, 0) * 2
        + struct.pack("<Hii", numbers[frame.dtype.str[1:]], nx, ny)
        + frame[::-1].tobytes()
        for frame in stack
    ]
    dimension = struct.pack("<iddii", n, 0.0, 1.0, 0, 6) + b"Number" + struct.pack("<i", 0)
    begin = 34 + len(dimension)
    places = np.cumsum([begin] + [len(element) for element in elements])
    table = int(places[-1])
    head = struct.pack("<HHHIIIIQI", 0x4949, 0x0197, 0x0220, 0x4122, 0x4152, n, n if valid is None else valid, table, 1)
    tags = table + 16 * n + 6 * np.arange(n)
    offsets = np.concatenate([places[:-1], tags]).astype("<u8").tobytes()
    path.write_bytes(
        head + dimension + b"".join(elements) + offsets + b"".join(struct.pack("<HI", 0x4152, 0) for _ in range(n))
    )
    return path


def write_velox(path: Path, stacks: dict[str, NDArray[Any]]) -> Path:
    """EMD as Velox writes it: frames last, one chunk each, their metadata as JSON in columns of bytes."""
    with h5py.File(path, "w") as file:
        file["Version"] = [json.dumps({"format": "Velox", "version": "1.0"}).encode()]
        for number, (detector, stack) in enumerate(stacks.items()):
            meta = {
                "Core": {"MetadataDefinitionVersion": "7.9"},
                **{key: {} for key in ("Instrument", "Acquisition", "Optics", "Stage", "Sample", "CustomProperties")},
                "Scan": {"FrameTime": "1.0"},
                "BinaryResult": {
                    "DetectorIndex": "0",
                    "Detector": detector,
                    "PixelSize": {"width": "2e-11", "height": "2e-11"},
                    "Offset": {"x": "0", "y": "0"},
                    "PixelUnitX": "m",
                    "PixelUnitY": "m",
                },
                "Detectors": {"Detector-0": {"DetectorName": detector}},
            }
            group = file.create_group(f"Data/Image/{number:032x}")
            group.create_dataset("Data", data=stack.transpose(1, 2, 0), chunks=(*stack.shape[1:], 1))
            text = np.frombuffer(json.dumps(meta).encode().ljust(4000, b"\0"), "u1")
            group["Metadata"] = np.repeat(text[:, None], len(stack), axis=1)
    return path


def write_ncdf(path: Path, positions: NDArray[Any]) -> None:
    """NetCDF trajectory as AMBER writes it."""
    n_frames, n_atoms, _ = positions.shape
    with netcdf_file(path, "w", version=2) as file:
        file.Conventions = "AMBER"
        for name, length in (("frame", None), ("spatial", 3), ("atom", n_atoms), ("cell_spatial", 3)):
            file.createDimension(name, length)
        for name, kind, axes, values in (
            ("time", "f4", ("frame",), 2.5 * np.arange(n_frames)),
            ("coordinates", "f4", ("frame", "atom", "spatial"), positions),
            ("cell_lengths", "f8", ("frame", "cell_spatial"), np.tile([20.0, 30, 40], (n_frames, 1))),
            ("cell_angles", "f8", ("frame", "cell_spatial"), np.full((n_frames, 3), 90.0)),
        ):
            variable = file.createVariable(name, kind, axes)
            variable.units = {"time": "picosecond", "cell_angles": "degree"}.get(name, "angstrom")
            variable[:] = values
