"""Columns: over their image, by sublattice."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.images.columns import columns, gate, lattice
from stemdask.figures.canvas import height_of, show_image, spacing
from stemdask.figures.numbers import median_row
from stemdask.figures.style import MUTED, SUBLATTICES, new, style
from stemdask.kernels.images.finding.quality import UNUSABLE
from stemdask.kernels.images.fitting.column_fit import OK, WEAK
from stemdask.model import ImageFrame
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results

_WIDTH = 7.0


def overlay(frame: ImageFrame, found: xr.Dataset) -> Figure:
    """Draw the found columns over their image.

    Parameters
    ----------
    frame
        The image.
    found
        ``/columns`` of one frame: `y`, `x` and `flag` (column), and `sublattice` where there is one. Columns that could
        not be measured are grey.
    """
    y, x = found[columns.Y.name].values, found[columns.X.name].values
    kind = -np.isin(found[columns.FLAG.name].values, UNUSABLE).astype(int)
    if lattice.SUBLATTICE.name in found:
        kind = found[lattice.SUBLATTICE.name].values
    good = np.isfinite(y)
    with style():
        figure, axes = new(_WIDTH, height_of(frame, _WIDTH))
        show_image(axes, frame, str(found[columns.Y.name].attrs["units"]))
        points = _WIDTH * 72 * 0.5 * spacing(y[good], x[good]) / (frame.pixels.shape[1] * frame.pixel_size[1])
        look = {"s": float(np.clip(points, 2, 14)) ** 2, "facecolors": "none", "linewidths": 1}
        for value in np.unique(kind[good]):
            chosen = (kind == value) & good
            colour = SUBLATTICES[value % len(SUBLATTICES)] if value >= 0 else MUTED
            name = f"{lattice.SUBLATTICES[int(value)]}: {chosen.sum()}"
            axes.scatter(x[chosen], y[chosen], edgecolors=colour, label=name, **look)
        if good.any():
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.06), ncols=5, borderaxespad=0)
        axes.set_title(f"Columns found: {int(good.sum())}")
    return figure


def plot_columns(results: Results, frame: int = 0) -> Figure:
    """Draw the columns found over their image."""
    return overlay(results.needed_image(frame), results.at(columns.Y.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """Say how many columns there are, how exact they are, and show them."""
    found = results.at(columns.Y.group, frame)
    part = Part(f"Columns of frame {frame}", rows=[("columns are", _polarity(results))])
    part.rows += [(name, str(count)) for name, count in _counts(found)]
    flags = found[columns.FLAG.name].values[np.isfinite(found[columns.Y.name].values)]
    part.rows.append(("fits that ended well", f"{int(np.isin(flags, (OK, WEAK)).sum())} of {flags.size}"))
    part.rows.append(("of them less than half as bright as those around", str(int((flags == WEAK).sum()))))
    if doubt := _doubt(results, frame):
        part.sentences.append(f"Doubtful: {doubt}.")
    for error, position in ((columns.Y_ERR, columns.Y), (columns.X_ERR, columns.X)):
        part.rows.append(median_row(f"median standard error of {position.name}", found[error.name]))
    image = results.image(frame)
    if image is None:
        part.sentences.append("The input can't be read from here, so the columns are not shown over their image.")
    else:
        part.show("The columns found, over the image.", lambda: overlay(image, found))
    return [part]


def words(results: Results, frame: int) -> list[str]:
    """Count the columns, say whether they are bright or dark, how many could be measured, and what is doubtful."""
    (name, count), *of_sublattices = _counts(results.at(columns.Y.group, frame))
    said = [f"{count} {_polarity(results)} {name}", *(f"{count} {name}" for name, count in of_sublattices)]
    said.append(f"{100 * float(results.read(gate.QUALITY, frame)):.3g} % could be measured")
    doubt = _doubt(results, frame)
    return [*said, f"doubtful: {doubt}"] if doubt else said


def _doubt(results: Results, frame: int) -> str:
    reasons = int(results.read(gate.REASONS, frame))
    return gate.QUALITY_REASONS[reasons] if reasons else ""


def _polarity(results: Results) -> str:
    return "dark" if results.config()["input"].get("invert") else "bright"


def _counts(found: xr.Dataset) -> list[tuple[str, int]]:
    good = np.isfinite(found[columns.Y.name].values)
    counts = [("columns", int(good.sum()))]
    if lattice.SUBLATTICE.name in found:
        kinds = found[lattice.SUBLATTICE.name].values[good]
        for value in np.unique(kinds):
            name = f"of sublattice {lattice.SUBLATTICES[int(value)]}" if value >= 0 else "that could not be measured"
            counts.append((name, int((kinds == value).sum())))
    return counts


SHOWS = Shows(parts, {"columns": plot_columns}, words)
