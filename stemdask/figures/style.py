"""One look for all figures: the size, the type and the colours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stemdask.units import symbol

#: Colours of sublattices A, B, ... (Okabe and Ito 2008: told apart by everybody).
SUBLATTICES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#F0E442")
#: Order parameters as they are written in the field.
SYMBOLS = {"q4": "$q_4$", "q6": "$q_6$", "q4_avg": "$Q_4$", "q6_avg": "$Q_6$", "w4_avg": "$W_4$", "w6_avg": "$W_6$"}
INK = "#222222"
ACCENT = "#0072B2"
MUTED = "#9a9a9a"

_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    # Where an image has more pixels than its picture, values are averaged: of colours there are four times as many.
    "image.interpolation_stage": "data",
    "savefig.dpi": 160,
    "figure.dpi": 110,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the look to the figures made inside, and to nothing else of the process."""
    import matplotlib as mpl

    with mpl.rc_context(_RC):
        yield


class Shown(Figure):
    """A figure that a notebook draws, whether or not pyplot is in use there."""

    def _repr_png_(self) -> bytes:
        with BytesIO() as file:
            self.savefig(file, format="png")
            return file.getvalue()


def new(width: float = 6.0, height: float = 4.2, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """Return a figure, in inches, and its axes; made without pyplot, so that no window or global state is touched."""
    figure = Shown(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def quantity(text: str, units: str) -> str:
    """Return the label of an axis: what it is, and its unit."""
    return f"{text} / {symbol(units)}" if symbol(units) else text


def frame_axis(axes: Axes) -> None:
    """Let the x axis count frames."""
    axes.set_xlabel("frame")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
