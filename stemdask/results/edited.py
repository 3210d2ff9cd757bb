"""Columns that a person edited elsewhere, such as in napari, as corrections that a run obeys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.spatial import cKDTree

from stemdask.analyses.images.columns import columns, edits
from stemdask.errors import StoreError
from stemdask.kernels.arrays import Floats
from stemdask.results.views import Results

#: In units of the distance of nearest columns: from which on a column was moved, and from which on it is another one.
_MOVED = 1e-3
_ANOTHER = 0.5


def corrections(results: Results, points: Floats) -> list[Mapping[str, object]]:
    """Return how columns differ from those of the run, as rows of a file of corrections.

    Parameters
    ----------
    results
        Of images.
    points
        (n, 3), frame, y and x, nm: all columns of the frames that are among them. Other frames are left as they are.

    Returns
    -------
    list
        Corrections that the run itself applied, then those that lead from its columns to these.

    Raises
    ------
    StoreError
        The points aren't of that shape, or of frames that the run doesn't have.
    """
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise StoreError("points must be finite numbers (n, 3): frame, y and x", value=points.shape)
    rows = list(_applied(results))
    for number in np.unique(np.rint(points[:, 0]).astype(int)):
        if not 0 <= number < results.n_frames:
            raise StoreError("the run has no such frame", value=number, allowed=f"0 to {results.n_frames - 1}")
        image, found = results.needed_image(int(number)), results.at(columns.Y.group, int(number))
        measured = np.column_stack([found[columns.Y.name], found[columns.X.name]])
        places = measured[np.isfinite(measured).all(axis=1)], points[np.rint(points[:, 0]) == number, 1:]
        before, after = ((place - np.array(image.offset)) / np.array(image.pixel_size) for place in places)
        rows += [{"frame": int(number), **row} for row in _differences(before, after)]
    return rows


def _applied(results: Results) -> Iterator[Mapping[str, object]]:
    """Yield the corrections that a run applied."""
    if edits.ACTION not in results:
        return
    names = {code: name for name, code in edits.ACTIONS.items()}
    for frame, action, *places in zip(*(results.read(variable).values for variable in edits.EDITS), strict=True):
        row: dict[str, object] = {"action": names[int(action)]}
        if frame != edits.EVERY_FRAME:
            row["frame"] = int(frame)
        yield row | {name: float(at) for name, at in zip(edits.HEADER[2:], places, strict=True) if np.isfinite(at)}


def _differences(before: Floats, after: Floats) -> Iterator[dict[str, object]]:
    """Yield what was removed, moved and added between two sets of columns, px, (y, x)."""
    if len(before) < 2 or not len(after):
        yield from (_row("remove", place) for place in before)
        yield from (_row("add", place) for place in after)
        return
    spacing = float(np.median(cKDTree(before).query(before, k=2)[0][:, 1]))
    away, there = cKDTree(after).query(before)
    here = cKDTree(before).query(after)[1]
    same = (here[there] == np.arange(len(before))) & (away < _ANOTHER * spacing)
    for place, new, stays, distance in zip(before, after[there], same, away, strict=True):
        if not stays:
            yield _row("remove", place)
        elif distance > _MOVED * spacing:
            yield _row("move", place) | dict(zip(("new_y", "new_x"), _rounded(new), strict=True))
    for number in np.setdiff1d(np.arange(len(after)), there[same]):
        yield _row("add", after[number])


def _row(action: str, place: Floats) -> dict[str, object]:
    y, x = _rounded(place)
    return {"action": action, "y": y, "x": x}


def _rounded(place: Floats) -> tuple[float, float]:
    return round(float(place[0]), 3), round(float(place[1]), 3)
