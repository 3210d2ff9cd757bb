"""What each candidate found, drawn beside the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import bond_order
from stemdask.analyses.images.columns import columns, lattice
from stemdask.figures.atoms.projection import from_far, project
from stemdask.figures.canvas import extent, show_image
from stemdask.figures.images.inspection import bare, mark_columns
from stemdask.figures.style import SUBLATTICES, new, style
from stemdask.model import Array, AtomsFrame, ImageFrame
from stemdask.results.shows import Picture
from stemdask.tuning.tune import Tuned

#: Panels of a picture in one row, and rows of a picture.
_ACROSS, _DOWN = 3, 2
#: Side of what is seen of an image, px.
_SIDE = 120


def pictures(tuned: Tuned) -> Iterator[Picture]:
    """Yield pictures of the first frame with what each candidate found in it, six to a picture."""
    index, frame = next(iter(tuned.frames.items()))
    shown = [
        (f"{'chosen: ' if k == tuned.chosen else ''}{score.candidate.name}", found[0].values)
        for k, (score, found) in enumerate(zip(tuned.scores, tuned.found, strict=True))
        if found[0].is_done
    ]
    for first in range(0, len(shown), _ACROSS * _DOWN):
        some = shown[first : first + _ACROSS * _DOWN]
        if isinstance(frame, ImageFrame):
            what, draw = "Columns in the middle", partial(_images, frame, some)
        else:
            what, draw = "Crystalline atoms (blue) and others", partial(_structures, frame, some)
        yield Picture(draw, f"{what} of frame {index}: {'; '.join(name for name, _ in some)}.")


def _panels(shown: Sequence[tuple[str, Mapping[str, Array]]]) -> tuple[Figure, list[Axes]]:
    rows = -(-len(shown) // _ACROSS)
    figure, axes = new(3.1 * _ACROSS, 3.3 * rows, rows, _ACROSS, squeeze=False)
    every = list(axes.flat)
    for one in every[len(shown) :]:
        one.set_visible(False)
    for one, (name, _) in zip(every, shown, strict=False):
        one.set_title(name.replace(", ", ",\n"), fontsize=8)
    return figure, every[: len(shown)]


def _images(frame: ImageFrame, shown: Sequence[tuple[str, Mapping[str, Array]]]) -> Figure:
    middle = tuple(slice(max(0, (n - _SIDE) // 2), max(0, (n - _SIDE) // 2) + _SIDE) for n in frame.pixels.shape)
    oy, ox = (first.start * size for first, size in zip(middle, frame.pixel_size, strict=True))
    seen = ImageFrame(0, frame.pixels[middle], frame.pixel_size, (oy, ox), frame.calibrated)
    left, right, bottom, top = extent(seen)
    with style():
        figure, panels = _panels(shown)
        for axes, (_, values) in zip(panels, shown, strict=True):
            show_image(axes, seen, "")
            mark_columns(axes, seen, _columns(values), inches=2.8)
            axes.set(xlim=(left, right), ylim=(bottom, top))
            bare(axes)
    return figure


def _columns(values: Mapping[str, Array]) -> xr.Dataset:
    drawn = (columns.Y, columns.X, columns.FLAG, lattice.SUBLATTICE, lattice.GRAIN)
    return xr.Dataset({variable.name: ("column", values[variable.path]) for variable in drawn})


def _structures(frame: AtomsFrame, shown: Sequence[tuple[str, Mapping[str, Array]]]) -> Figure:
    atoms = xr.Dataset({axis: ("atom", frame.positions[:, k]) for k, axis in enumerate("xyz")})
    order = from_far(atoms, "xy")
    with style():
        figure, panels = _panels(shown)
        for axes, (_, values) in zip(panels, shown, strict=True):
            crystalline = values[bond_order.CRYSTALLINE.path][order] == 1
            project(axes, atoms, order, "xy", c=np.where(crystalline, SUBLATTICES[0], SUBLATTICES[1]))
    return figure
