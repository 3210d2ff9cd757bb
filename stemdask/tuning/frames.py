"""Frames as messages to and from behind the fence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stemdask.model import Array, AtomsFrame, Frame, ImageFrame


def pack(frame: Frame) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a frame without its results as what a message holds: JSON-able, and arrays by name."""
    if isinstance(frame, ImageFrame):
        told = {"pixel_size": frame.pixel_size, "offset": frame.offset, "calibrated": frame.calibrated}
        return told, {"pixels": frame.pixels}
    arrays: dict[str, Array] = {"positions": frame.positions, "numbers": frame.numbers}
    if frame.cell is not None:
        arrays["cell"] = frame.cell
    return {"periodic": frame.periodic}, arrays


def unpack(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> Frame:
    """Return the frame that `pack` made a message of."""
    own = {name: np.array(array) for name, array in arrays.items()}  # those of a message are read-only views of it
    if "pixels" in own:
        (dy, dx), (oy, ox) = given["pixel_size"], given["offset"]
        return ImageFrame(0, own["pixels"], (dy, dx), (oy, ox), given["calibrated"])
    a, b, c = given["periodic"]
    return AtomsFrame(0, own["positions"], own["numbers"], own.get("cell"), (a, b, c))
