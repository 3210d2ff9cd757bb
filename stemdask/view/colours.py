"""The colours of a property: those of the figures, with limits that hold for all frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, to_rgb
from numpy.typing import NDArray

from stemdask.figures.atoms.structure import KINDS
from stemdask.figures.canvas import wheel
from stemdask.figures.style import MUTED, SUBLATTICES
from stemdask.kernels.arrays import Array, Booleans, Floats
from stemdask.results.blocks import Stored

#: Bars of a histogram of continuous values, and integers up to which each has a bar of its own.
BARS, MOST_INTEGERS = 60, 60
#: Per cent of the values beyond the limits on either side.
_TAIL = 0.5

Colours = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Scale:
    """What colour a value has.

    ``kinds`` are integers with a meaning each, ``directions`` are degrees, ``signed`` values lie on both sides of zero.
    """

    way: Literal["kinds", "directions", "signed", "values"]
    low: float
    high: float
    kinds: Mapping[int, str] = field(default_factory=dict)
    """Colour of each integer."""
    whole: bool = False
    """The values are integers."""

    @classmethod
    def of(cls, shown: Stored, values: Array) -> Scale:
        """Return the scale of a property, of which some values are known."""
        if shown.flags:
            there = values if values.size else np.array(list(shown.flags))
            return cls("kinds", int(there.min()) - 0.5, int(there.max()) + 0.5, _kinds(shown.flags), whole=True)
        if shown.name == "angle" and shown.units == "degree":
            return cls("directions", -180.0, 180.0)
        whole = shown.dtype.kind in "iu"
        finite = values[np.isfinite(values)].astype(float)
        if not finite.size:
            return cls("values", 0.0, 1.0, whole=whole)
        if whole:
            return cls("values", float(finite.min()) - 0.5, float(finite.max()) + 0.5, whole=True)
        low, high = (float(value) for value in np.percentile(finite, (_TAIL, 100.0 - _TAIL)))
        if low < 0.0 < high and min(-low, high) > 0.1 * max(-low, high):
            return cls("signed", -max(-low, high), max(-low, high))
        return cls("values", low, high if high > low else low + (abs(low) or 1.0))

    def colours(self, values: Array, usable: Booleans | None = None) -> Colours:
        """Return red, green, blue and alpha (n, 4) of values; what is not known, or not usable, is grey."""
        if self.way == "kinds":
            found = np.array([to_rgb(self.kinds.get(int(value), MUTED)) for value in values]).reshape(-1, 3)
        else:
            part = (np.asarray(values, dtype=float) - self.low) / (self.high - self.low)
            part = part % 1.0 if self.way == "directions" else np.clip(part, 0.0, 1.0)
            found = self._map()(np.nan_to_num(part))[:, :3]
        grey = ~np.isfinite(values) if usable is None else ~usable | ~np.isfinite(values)
        found = np.where(grey[:, None], to_rgb(MUTED), found)
        return np.column_stack([np.round(255 * found), np.full(len(found), 255)]).astype(np.uint8)

    def bars(self) -> Floats:
        """Return the edges of the bars of a histogram."""
        n = round(self.high - self.low)
        return np.linspace(self.low, self.high, n + 1 if self.whole and n <= MOST_INTEGERS else BARS + 1)

    def counts(self, values: Array) -> Array:
        """Return how many values lie in each bar; those beyond the ends are in the last ones."""
        finite = values[np.isfinite(values)].astype(float)
        if self.way == "directions":
            finite = (finite + 180.0) % 360.0 - 180.0
        return np.histogram(np.clip(finite, self.low, self.high), self.bars())[0]

    def _map(self) -> Colormap:
        return wheel() if self.way == "directions" else colormaps["RdBu_r" if self.way == "signed" else "viridis"]


def _kinds(flags: Mapping[int, str]) -> dict[int, str]:
    """Return the colours of kinds: those of structure types by their name, others in the order of the sublattices."""
    more = (*SUBLATTICES, "#56B4E9", "#E69F00", "#8C564B")
    return {value: KINDS.get(word, MUTED if value < 0 else more[value % len(more)]) for value, word in flags.items()}
