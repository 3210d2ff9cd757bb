"""Corrections by hand: a table of columns that a person added, removed or moved, applied before the fit.

CSV with the header ``frame,action,y,x,new_y,new_x``. Positions are pixels of the file, (0, 0) the middle of its first
one, y downwards. ``action`` is add, remove or move; ``new_y`` and ``new_x`` belong to move alone. Without a frame a
correction holds for every frame. Rows are applied one after the other.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import NamedTuple

import numpy as np

from stemdask.analyses.given_file import GivenFile
from stemdask.analyses.images.stack import registration
from stemdask.errors import FrameError, InputError
from stemdask.kernels.images.finding.columns import Columns
from stemdask.kernels.images.finding.corrections import ADD, MOVE, REMOVE, CorrectionError, Corrections, correct
from stemdask.kernels.images.stacks.pixel_grid import PixelGrid
from stemdask.model import Array, ImageFrame, Variable

HEADER = ("frame", "action", "y", "x", "new_y", "new_x")
ACTIONS = {"add": ADD, "remove": REMOVE, "move": MOVE}
EVERY_FRAME = -1


def _constant(name: str, dtype: str, units: str, long_name: str, flags: Mapping[int, str] | None = None) -> Variable:
    return Variable(f"columns/edit_{name}", ("edit",), dtype, units, long_name, flags=flags, stage="prepare")


FRAME = _constant("frame", "int32", "1", "frame that was corrected by hand, -1 every frame")
ACTION = _constant("action", "int8", "1", "what was corrected", {code: name for name, code in ACTIONS.items()})
Y = _constant("y", "float64", "pixel", "row of the column in the file")
X = _constant("x", "float64", "pixel", "position along a row of the column in the file")
NEW_Y = _constant("new_y", "float64", "pixel", "row to which it was moved")
NEW_X = _constant("new_x", "float64", "pixel", "position along a row to which it was moved")
EDITS = (FRAME, ACTION, Y, X, NEW_Y, NEW_X)
N_EDITS = Variable("columns/n_edits", ("frame",), "int32", "1", "corrections by hand that were applied")


def read(file: GivenFile, n_frames: int) -> dict[str, Array]:
    """Read corrections; returns them by the path of their variables.

    Raises
    ------
    InputError
        The file can't be read, or a row isn't a correction of one of the frames.
    """
    table = csv.DictReader(StringIO(file.text()), skipinitialspace=True)
    if not {"action", "y", "x"} <= set(table.fieldnames or ()) <= set(HEADER):
        raise InputError(
            "corrections need a header of these names",
            where=file.path,
            value=", ".join(map(str, table.fieldnames or ())),
            allowed=f"{', '.join(HEADER)}; action, y and x at least",
        )
    rows = [_row(row, n_frames, f"{file.path}, line {table.line_num}") for row in table]
    return {
        variable.path: np.array([row[k] for row in rows], variable.dtype)
        for k, variable in enumerate(EDITS)
    }  # fmt: skip


def _row(row: Mapping[str, str | None], n_frames: int, where: str) -> tuple[float, ...]:
    text = {name: (row.get(name) or "").strip() for name in HEADER}
    action = ACTIONS.get(text["action"].lower())
    try:
        frame = int(text["frame"]) if text["frame"] else EVERY_FRAME
        places = [float(text[name]) if text[name] else np.nan for name in HEADER[2:]]
    except ValueError:
        action, frame, places = None, EVERY_FRAME, []
    has = list(np.isfinite(places))
    if action is None or has != [True, True, action == MOVE, action == MOVE]:
        raise InputError(
            "this is not a correction",
            where=where,
            value=",".join(text.values()),
            allowed="add, remove or move with numbers y and x in pixels; new_y and new_x with move alone",
        )
    if not (frame == EVERY_FRAME or 0 <= frame < n_frames):
        raise InputError("there is no such frame", where=where, value=frame, allowed=f"0 to {n_frames - 1}")
    return frame, action, *places


def text(rows: Sequence[Mapping[str, object]]) -> str:
    """Return corrections as CSV, one mapping of the names of the header per row; what is left out stays empty."""
    written = StringIO()
    table = csv.DictWriter(written, HEADER, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return written.getvalue()


class Edits(NamedTuple):
    """Corrections of one image."""

    corrections: Corrections
    """On the pixels that are looked at."""
    words: tuple[str, ...]
    """What each is, in pixels of the file."""

    def applied(self, found: Columns, shape: tuple[int, int]) -> Columns:
        """Return the columns of an image of some shape as they were corrected; raise FrameError where one can't be."""
        try:
            return correct(found, self.corrections, shape)
        except CorrectionError as error:
            raise FrameError(
                f"a manual correction can't be applied: {error}",
                where="columns.edits",
                value=self.words[error.number],
                remedy="Correct that row of the file, or take it out",
            ) from None


def of_frame(frame: ImageFrame, grid: PixelGrid) -> Edits:
    """Return those corrections of all, which a frame carries, that are meant for it; on the pixels of a grid."""
    chosen = (frame[FRAME] == EVERY_FRAME) | (frame[FRAME] == frame.index)
    action, place, new = (values[chosen] for values in _arrays(frame.results))
    return Edits(Corrections(action, grid.from_source(place), grid.from_source(new)), _words(action, place))


def of_series(frames: Sequence[ImageFrame], given: Mapping[str, Array], first: Array) -> Edits:
    """Return all corrections on the average of a series; what is corrected in one frame is so in all.

    Parameters
    ----------
    frames
        With what the registration prepared.
    given
        What `read` returned.
    first
        (2,), px, place of the first pixel of the average in a frame that has not drifted.

    Raises
    ------
    InputError
        A corrected frame doesn't show the area of the series.
    """
    number = given[FRAME.path]
    shift = np.zeros((len(number), 2))
    for index in np.unique(number[number != EVERY_FRAME]):
        frame = frames[index]
        found = registration.run(frame, registration.RegistrationParams())
        drift = np.array([found[registration.SHIFT_Y.path], found[registration.SHIFT_X.path]]) / frame.pixel_size
        if not np.isfinite(drift).all():
            raise InputError("a corrected frame doesn't show the area of the series", where=f"frame {index}")
        shift[number == index] = drift
    action, place, new = _arrays(given)
    return Edits(Corrections(action, place - shift - first, new - shift - first), _words(action, place))


def _arrays(given: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    place, new = (np.column_stack([given[y.path], given[x.path]]) for y, x in ((Y, X), (NEW_Y, NEW_X)))
    return given[ACTION.path], place, new


def _words(action: Array, place: Array) -> tuple[str, ...]:
    names = {code: name for name, code in ACTIONS.items()}
    return tuple(f"{names[int(of)]} at y = {y:g}, x = {x:g}" for of, (y, x) in zip(action, place, strict=True))
