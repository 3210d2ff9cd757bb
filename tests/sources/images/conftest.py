"""Files of foreign formats, made on the fly as their programs make them, so that tests can damage them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import foreign
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
    return lambda name, *what, **how: foreign.write_dm4(tmp_path / name, *what, **how)


@pytest.fixture
def write_ser(tmp_path: Path) -> Write:
    return lambda name, *what, **how: foreign.write_ser(tmp_path / name, *what, **how)


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
    return lambda name, *what, **how: foreign.write_velox(tmp_path / name, *what, **how)
