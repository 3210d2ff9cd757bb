"""What the browser draws itself: the control of the frames, and particles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import param
from panel.custom import JSComponent

from stemdask.kernels.arrays import Array, Booleans, Floats
from stemdask.view.colours import Colours

_HERE = Path(__file__).parent
#: Radius of an atom in distances between neighbours: spheres nearly touch.
_RADIUS = 0.46
#: A particle is first seen from above and from the side: axes of the screen (right, up, towards the eye), row by row.
_FIRST = [0.94, 0.34, 0.0, -0.12, 0.33, 0.936, 0.318, -0.88, 0.351]
_STYLE = (_HERE / "components.css").read_text(encoding="utf-8")


class FrameControl(JSComponent):  # type: ignore[misc]
    """A slider over a strip of what became of each frame, play, and the arrow keys."""

    value = param.Integer(default=0, doc="The frame asked for.")
    drawn = param.Integer(default=0, doc="The frame that is drawn; another is asked for only then.")
    whole_page = param.Boolean(default=True, doc="Hear the keys of the whole page; a notebook has other uses for them.")
    levels = param.String(default="", doc="What became of each frame, a letter each: good, doubtful, failed, pending.")

    _esm = _HERE / "frames.js"
    _stylesheets = [_STYLE]  # noqa: RUF012 - as Panel declares it


class Words(JSComponent):  # type: ignore[misc]
    """Words as HTML; Panel's own pane asks the network for its style whenever they change in a notebook."""

    object = param.String(default="", doc="HTML.")

    _esm = """
export function render({ model }) {
  const words = document.createElement("div");
  const show = () => { words.innerHTML = model.object; };
  model.on("object", show);
  show();
  return words;
}
"""


class Particle(JSComponent):  # type: ignore[misc]
    """A particle that is turned, zoomed, cut by depth and clicked in the browser."""

    positions = param.Array(default=np.zeros((0, 3), np.float32), doc="(n, 3), angstrom from the centre.")
    colours = param.Array(default=np.zeros((0, 4), np.uint8), doc="(n, 4), red, green, blue, alpha.")
    shown = param.Array(default=np.zeros(0, np.uint8), doc="(n,), 0: faint.")
    radius = param.Number(default=1.0, doc="Of an atom, angstrom.")
    reach = param.Number(default=1.0, doc="Of the particle from its centre, angstrom.")
    turned = param.List(default=_FIRST, doc="Where it is seen from at first: a rotation, row by row.")
    picked = param.Integer(default=-1, doc="The atom with a ring; -1: none.")
    clicked = param.List(default=[-1, 0], doc="The atom that was clicked last, or -1, and when.")

    _esm = _HERE / "particle.js"
    _stylesheets = [_STYLE]  # noqa: RUF012 - as Panel declares it

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._centre: Array | None = None

    def draw(self, where: Floats, colours: Colours, shown: Booleans, distance: float, picked: int) -> None:
        """Draw atoms.

        Parameters
        ----------
        where
            (n, 3), angstrom; NaN isn't drawn.
        colours, shown
            (n, 4) and (n,).
        distance
            Between neighbours, angstrom.
        picked
            The atom with a ring; -1: none.
        """
        there = np.asarray(np.isfinite(where).all(axis=1))
        if self._centre is None and there.any():  # the same for all frames, so that what moves is seen to move
            self._centre = 0.5 * (where[there].min(axis=0) + where[there].max(axis=0))
            self.radius = _RADIUS * distance
            self.reach = float(np.linalg.norm(where[there] - self._centre, axis=1).max()) + self.radius
        centre = np.zeros(3) if self._centre is None else self._centre
        self.param.update(
            positions=np.where(there[:, None], where - centre, 1e6).astype(np.float32),
            colours=colours,
            shown=(shown & there).astype(np.uint8),
            picked=picked,
        )
