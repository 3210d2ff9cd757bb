"""Messages through the fence: a length, a JSON header, the bytes of the arrays. No pickle."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from stemdask.model import Array

_LENGTHS = struct.Struct("<QI")
#: Bytes of the fixed part, which says how many follow.
PREFIX = _LENGTHS.size


def pack(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Return a message."""
    solid = {path: np.ascontiguousarray(array) for path, array in arrays.items()}
    described = [(path, array.dtype.str, np.shape(arrays[path])) for path, array in solid.items()]
    text = json.dumps({**header, "arrays": described}).encode()
    body = b"".join([text, *(array.tobytes() for array in solid.values())])
    return _LENGTHS.pack(len(body), len(text)) + body


def body_length(prefix: bytes) -> int:
    """Return how many bytes follow the prefix."""
    return int(_LENGTHS.unpack(prefix)[0])


def unpack(prefix: bytes, body: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return header and arrays of a message; the arrays are views of its body."""
    _, at = _LENGTHS.unpack(prefix)
    header = json.loads(body[:at])
    arrays: dict[str, Array] = {}
    for path, dtype, shape in header.pop("arrays"):
        n = math.prod(shape)
        arrays[path] = np.frombuffer(body, dtype, n, at).reshape(shape)
        at += n * np.dtype(dtype).itemsize
    return header, arrays
