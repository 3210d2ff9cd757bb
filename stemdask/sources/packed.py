"""Long integer sequences as short text, so that an index of 100,000 frames travels in a task and in JSON."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def pack(values: Iterable[int]) -> str:
    """Encode integers: differences, deflated, in base 64."""
    array = np.fromiter(values, dtype=np.int64)
    return base64.b64encode(zlib.compress(np.diff(array, prepend=0).astype("<i8").tobytes())).decode("ascii")


@lru_cache(maxsize=64)
def unpack(text: str) -> NDArray[np.int64]:
    """Decode what `pack` wrote; the array is shared and read-only."""
    differences = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<i8")
    values = np.cumsum(differences, dtype=np.int64)
    values.setflags(write=False)
    return values
