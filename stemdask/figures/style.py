"""One look for all figures: the size, the type and the colours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib.figure import Figure

#: Colours of sublattices A, B, ... (Okabe and Ito 2008: told apart by everybody).
SUBLATTICES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#F0E442")
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
    "savefig.dpi": 160,
    "figure.dpi": 110,
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the look to the figures made inside, and to nothing else of the process."""
    import matplotlib as mpl

    with mpl.rc_context(_RC):
        yield


def new(width: float = 6.0, height: float = 4.2, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """Return a figure, in inches, and its axes; made without pyplot, so that no window or global state is touched."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)
