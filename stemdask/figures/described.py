"""A figure in words, for those who can't see it: what its panels show, against what, and how far the data reach."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.quiver import Quiver

#: Panels that are described one by one; of more, the first.
_MOST = 6


def described(figure: Figure) -> str:
    """Return what is seen in a figure that was drawn: of each panel its title, what is drawn, and its axes."""
    panels = [
        axes for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>" and _has_data(axes)
    ]
    said = [text for axes in panels[:_MOST] if (text := _panel(axes))]
    more = [f"And {len(panels) - _MOST} panels like these."] if len(panels) > _MOST else []
    more += [f"Legend: {_entries(legend)}." for legend in figure.legends]
    return " ".join([*(f"Panel {k}: {text}" if len(panels) > 1 else text for k, text in enumerate(said, 1)), *more])


def _panel(axes: Axes) -> str:
    parts = [axes.get_title(loc="left") or axes.get_title(), ", ".join(_drawn(axes))]
    if axes.axison:
        parts += [f"{text} from {_number(low)} to {_number(high)}" for text, (low, high) in _reach(axes) if text]
    legend = axes.get_legend()
    if legend is not None:
        parts.append(f"legend: {_entries(legend)}")
    return "; ".join(_plain(part) for part in parts if part) + "."


def _entries(legend: Legend) -> str:
    return ", ".join(text.get_text() for text in legend.get_texts())


def _reach(axes: Axes) -> list[tuple[str, tuple[float, float]]]:
    (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    return [(axes.get_xlabel(), (left, right)), (axes.get_ylabel(), (bottom, top))]


def _drawn(axes: Axes) -> Iterator[str]:
    """Yield what is drawn into axes, each kind once, with its number."""
    kinds = {
        "image": len(axes.images) + sum(isinstance(one, QuadMesh) for one in axes.collections),
        "curve": sum(_is_curve(axes, line) for line in axes.lines),
        "arrow": sum(_length(one.get_offsets()) for one in axes.collections if isinstance(one, Quiver)),
        "mark": sum(_length(one.get_offsets()) for one in axes.collections if isinstance(one, PathCollection)),
        "coloured cell": sum(
            len(one.get_paths())
            for one in axes.collections
            if isinstance(one, PolyCollection) and not isinstance(one, Quiver) and len(one.get_paths()) > 1
        ),
        "line": sum(len(one.get_segments()) for one in axes.collections if isinstance(one, LineCollection)),
        "bar": sum(len(group) for group in axes.containers if hasattr(group, "patches")),
    }
    yield from (f"{n} {name}{'s' if n > 1 else ''}" for name, n in kinds.items() if n)


def _is_curve(axes: Axes, line: Line2D) -> bool:
    return line.get_transform() is axes.transData and np.size(line.get_xdata()) > 2


def _has_data(axes: Axes) -> bool:
    return bool(axes.images or axes.lines or axes.collections or axes.patches)


def _length(offsets: object) -> int:
    return len(np.ma.masked_invalid(np.ma.asarray(offsets)).reshape(-1, 2))


def _number(value: float) -> str:
    return f"{value:.3g}"


def _plain(text: str) -> str:
    """Return text without the marks of mathematics and its line breaks."""
    return " ".join(text.replace("$", "").replace("_", "").replace("{", "").replace("}", "").split())
