"""Files of foreign formats, made on the fly as their programs make them, so that tests can damage them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

Write = Callable[..., Path]


@pytest.fixture
def images() -> NDArray[np.float32]:
    """Five frames of 16 × 12 pixels that differ everywhere."""
    return np.arange(5 * 16 * 12, dtype=np.float32).reshape(5, 16, 12) + 0.5


@pytest.fixture
def write_mrc(tmp_path: Path) -> Write:
    """MRC of 2014; `ints` and `floats` overwrite words of the header, counted from 1 as in its description."""

    def write(
        name: str,
        stack: NDArray[Any],
        *,
        voxel: float = 0.2,
        order: str = "<",
        ints: Mapping[int, int] = {},
        floats: Mapping[int, float] = {},
        extended: bytes = b"",
    ) -> Path:
        modes = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}
        sizes = dict(zip((1, 2, 3, 8, 9, 10), stack.shape[::-1] * 2, strict=True))
        words = {4: modes[stack.dtype.str[1:]], 17: 1, 18: 2, 19: 3, 24: len(extended), 28: 20140}
        head = np.zeros(256, order + "i4")
        for word, integer in (sizes | words | dict(ints)).items():
            head[word - 1] = integer
        cell = dict(zip((11, 12, 13), [n * voxel for n in stack.shape[::-1]], strict=True))
        for word, number in (cell | dict(floats)).items():
            head.view(order + "f4")[word - 1] = number
        data = bytearray(head.tobytes())
        data[208:216] = b"MAP " + (b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0")
        path = tmp_path / name
        path.write_bytes(bytes(data) + extended + stack.astype(stack.dtype.newbyteorder(order)).tobytes())
        return path

    return write


@pytest.fixture
def write_png(tmp_path: Path) -> Write:
    """PNG by its chunks: grey, grey with alpha, RGB or RGBA by the last dimension; `more` chunks before the pixels."""

    def write(
        name: str,
        pixels: NDArray[Any],
        *,
        bits: int | None = None,
        palette: NDArray[np.uint8] | None = None,
        more: Mapping[bytes, bytes] = {},
        shape: tuple[int, int] | None = None,
    ) -> Path:
        def chunk(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        n_channels = pixels.shape[2] if pixels.ndim == 3 else 1
        kind = {1: 0, 2: 4, 3: 2, 4: 6}[n_channels] if palette is None else 3
        depth = 8 * pixels.dtype.itemsize if bits is None else bits
        ny, nx = pixels.shape[:2] if shape is None else shape
        rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(len(pixels), -1)
        packed = [np.packbits(row > 0).tobytes() if depth == 1 else row.tobytes() for row in rows]
        body = chunk(b"IHDR", struct.pack(">IIBBBBB", nx, ny, depth, kind, 0, 0, 0))
        if palette is not None:
            body += chunk(b"PLTE", palette.tobytes())
        body += b"".join(chunk(kind, content) for kind, content in more.items())
        body += chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in packed))) + chunk(b"IEND", b"")
        path = tmp_path / name
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        return path

    return write


@pytest.fixture
def write_dm4(tmp_path: Path) -> Write:
    """DigitalMicrograph 4: a tree of tags, big-endian around little-endian values."""
    types = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "i1": 9, "u1": 10}
    kinds = {"i2": 1, "f4": 2, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12}

    def tag(name: str, value: Any) -> bytes:
        if isinstance(value, dict):
            body = struct.pack(">BBq", 1, 0, len(value)) + b"".join(tag(k.strip("."), v) for k, v in value.items())
            return entry(20, name, body)
        if isinstance(value, str):
            value = np.frombuffer(value.encode("utf-16-le"), "<u2")
        array = np.asarray(value)
        number = types[array.dtype.str[1:]]
        info = [number] if array.ndim == 0 else [20, number, array.size]
        body = b"%%%%" + struct.pack(f">{len(info) + 1}q", len(info), *info) + array.tobytes()
        return entry(21, name, body)

    def entry(kind: int, name: str, body: bytes) -> bytes:
        return struct.pack(">BH", kind, len(name)) + name.encode() + struct.pack(">q", len(body)) + body

    def write(
        name: str,
        data: NDArray[Any],
        *,
        scale: float = 0.02,
        origin: float = 0.0,
        units: str = "nm",
        dimensions: tuple[int, ...] | None = None,
        spectra: bool = False,
    ) -> Path:
        lengths = dimensions or data.shape[::-1]
        axes = {
            "." * k: {"Origin": np.float32(origin), "Scale": np.float32(scale), "Units": units}
            for k in range(1, len(lengths) + 1)
        }
        image = {
            "ImageData": {
                "Calibrations": {"Dimension": axes},
                "Data": data.ravel(),
                "DataType": np.uint32(kinds[data.dtype.str[1:]]),
                "Dimensions": {"." * k: np.uint32(n) for k, n in enumerate(lengths, 1)},
                "PixelDepth": np.uint32(data.dtype.itemsize),
            },
            "ImageTags": {"Meta Data": {"Format": "Spectrum image"}} if spectra else {"Note": np.uint32(1)},
            "Name": "made for a test",
        }
        root = {"ImageList": {".": image}}
        body = struct.pack(">BBq", 1, 0, len(root)) + b"".join(tag(k, v) for k, v in root.items())
        path = tmp_path / name
        path.write_bytes(struct.pack(">iqi", 4, len(body), 1) + body + bytes(8))
        return path

    return write


@pytest.fixture
def write_ser(tmp_path: Path) -> Write:
    """TIA series of images: header, elements, then the table of their offsets."""

    def write(name: str, stack: NDArray[Any], *, pixel: float = 2e-11, valid: int | None = None) -> Path:
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
        head = struct.pack(
            "<HHHIIIIQI", 0x4949, 0x0197, 0x0220, 0x4122, 0x4152, n, n if valid is None else valid, table, 1
        )
        tags = table + 16 * n + 6 * np.arange(n)
        offsets = np.concatenate([places[:-1], tags]).astype("<u8").tobytes()
        path = tmp_path / name
        path.write_bytes(
            head + dimension + b"".join(elements) + offsets + b"".join(struct.pack("<HI", 0x4152, 0) for _ in range(n))
        )
        return path

    return write


@pytest.fixture
def write_hspy(tmp_path: Path) -> Write:
    def write(
        name: str, stack: NDArray[Any], *, scale: float = 0.02, units: str | None = "nm", offset: float = 0.0
    ) -> Path:
        import rsciio.hspy

        axes = [
            {
                "_type": "UniformDataAxis",
                "name": label,
                "size": size,
                "scale": scale,
                "offset": offset,
                "navigate": label == "t",
                "is_binned": False,
                **({"units": units} if units else {}),
            }
            for label, size in zip("tyx"[3 - stack.ndim :], stack.shape, strict=True)
        ]
        rsciio.hspy.file_writer(
            str(tmp_path / name),
            {
                "data": stack,
                "axes": axes,
                "metadata": {"General": {"title": "made for a test"}, "Signal": {"signal_type": ""}},
                "original_metadata": {},
                "attributes": {"_lazy": False, "ragged": False},
                "learning_results": {},
                "models": {},
                "tmp_parameters": {},
                "package_info": {},
            },
        )
        return tmp_path / name

    return write


@pytest.fixture
def write_velox(tmp_path: Path) -> Write:
    """EMD as Velox writes it: frames last, one chunk each, their metadata as JSON in columns of bytes."""

    def write(name: str, stacks: dict[str, NDArray[Any]]) -> Path:
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            file["Version"] = [json.dumps({"format": "Velox", "version": "1.0"}).encode()]
            for number, (detector, stack) in enumerate(stacks.items()):
                meta = {
                    "Core": {"MetadataDefinitionVersion": "7.9"},
                    **{
                        key: {}
                        for key in ("Instrument", "Acquisition", "Optics", "Stage", "Sample", "CustomProperties")
                    },
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

    return write
