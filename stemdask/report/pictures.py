"""Pictures as they stand in the page: drawn, described and encoded, in as few bytes as what they show allows."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from PIL import Image, WebPImagePlugin

from stemdask.figures.described import described
from stemdask.results.shows import Picture

#: Known by its plugin: asked by name alone, Pillow first imports those of all its formats.
_FORMAT = WebPImagePlugin.WebPImageFile.format
#: Dots per inch of a picture; a pixel of a crop becomes three or more.
DPI = 130
#: Widest picture, inch, that is read without being scrolled in a narrow window; dots per inch of wider ones there.
_NARROW, _LEAST = 4.5, 74
#: Pictures that are wider, inch, have no other beside them.
_WIDE = 8.6
#: Images of more pixels than this are compressed with a loss that can't be seen; curves and text never are.
_PHOTOGRAPH = 48 * 48
#: How hard WebP tries, 0 to 6. Trying harder (4 and 3) took twice and 1.3 times as long for 4 % and 1 % fewer bytes.
_EFFORT_OF_IMAGES, _EFFORT = 2, 1
#: The same for pictures without loss, on a scale of 0 to 100. Maps, whose cells have a colour each, take longest: with
#: less effort 0.6 times as long for 12 % more bytes.
_LOSSLESS, _LOSSLESS_MAPS = 60, 20


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture as it stands in the page."""

    data: str
    """A data URL."""
    width: int
    """Dots."""
    height: int
    caption: str
    alt: str
    """What is seen, in words."""
    wide: bool
    """Whether it takes the whole width of the page."""
    least: int
    """Dots of the screen that it is shown in at least; it is scrolled where the window has fewer."""

    @property
    def size(self) -> int:
        """Bytes that it takes in the page."""
        return len(self.data) + len(self.alt) + len(self.caption)


def encode(picture: Picture, *, dpi: int = DPI, quality: int = 88) -> Encoded:
    """Draw a picture and encode it as WebP: without loss but where it holds images.

    Parameters
    ----------
    picture
        What to draw.
    dpi
        Dots per inch.
    quality
        Of images, 0 to 100.
    """
    figure = picture.draw()
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    rgba = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    pixels = Image.fromarray(rgba).convert("RGB")
    buffer = io.BytesIO()
    if _is_photograph(figure):
        pixels.save(buffer, _FORMAT, quality=quality, method=_EFFORT_OF_IMAGES)
    else:
        effort = _LOSSLESS_MAPS if _is_map(figure) else _LOSSLESS
        pixels.save(buffer, _FORMAT, lossless=True, quality=effort, method=_EFFORT)
    inches = float(figure.get_size_inches()[0])
    return Encoded(
        "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"),
        *pixels.size,
        picture.caption,
        f"{picture.caption} {described(figure)}".strip(),
        inches > _WIDE,
        round(_LEAST * inches) if inches > _NARROW else 0,
    )


def _is_photograph(figure: Figure) -> bool:
    return any(np.asarray(image.get_array()).size > _PHOTOGRAPH for axes in figure.axes for image in axes.images)


def _is_map(figure: Figure) -> bool:
    cells = (one for axes in figure.axes for one in axes.collections if isinstance(one, PolyCollection))
    return any(one.get_array() is not None for one in cells)
