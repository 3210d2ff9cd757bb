"""How images were taken, as far as their file says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

#: Places of both in the metadata that rosettasciio makes of every format, and of Velox, which it leaves as it is.
_INSTRUMENTS = ("Acquisition_instrument.TEM", "Acquisition_instrument.SEM")
_VELOX_DWELL_TIME = "Scan.DwellTime"


class Acquisition(NamedTuple):
    """What is known of how images were taken; None where the file doesn't say."""

    voltage: float | None = None
    """Acceleration voltage, kV."""
    dwell_time: float | None = None
    """Of the probe on a pixel, s."""

    @classmethod
    def of(cls, signal: Mapping[str, Any]) -> Acquisition:
        """Return what a signal of rosettasciio says."""
        voltage = (f"{instrument}.beam_energy" for instrument in _INSTRUMENTS)
        dwell_time = (f"{instrument}.dwell_time" for instrument in _INSTRUMENTS)
        raw = _number(_at(signal.get("original_metadata"), _VELOX_DWELL_TIME))
        return cls(_first(signal, voltage), _first(signal, dwell_time) or raw)

    def describe(self) -> dict[str, str]:
        """Return it in words and numbers."""
        said = {}
        if self.voltage is not None:
            said["acceleration voltage"] = f"{self.voltage:g} kV"
        if self.dwell_time is not None:
            said["dwell time"] = f"{1e6 * self.dwell_time:.4g} µs per pixel"
        return said


UNKNOWN = Acquisition()


def _first(signal: Mapping[str, Any], paths: Iterator[str]) -> float | None:
    """Return the first of some metadata that is a positive number, as it stands or by the reader's own mapping."""
    metadata, original = signal.get("metadata"), signal.get("original_metadata")
    mapping = {target: (source, convert) for source, (target, convert) in (signal.get("mapping") or {}).items()}
    for path in paths:
        source, convert = mapping.get(path, ("", None))
        raw = _at(original, source) if source else None
        found = _number(_at(metadata, path))
        if found is None and raw is not None:
            found = _number(convert(raw) if convert is not None else raw)
        if found is not None:
            return found
    return None


def _at(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
