"""Preprocessing: the pixels of a frame before and after."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from stemdask.analyses.images.stack import preprocess
from stemdask.errors import StoreError
from stemdask.figures.numbers import rows_of
from stemdask.figures.style import new, style
from stemdask.model import Array
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results


def before_and_after(before: Array, measured: Array, for_finding: Array) -> Figure:
    """Draw the pixels of a frame as they are in the file, those to measure on and those to find columns on.

    Parameters
    ----------
    before, measured, for_finding
        (y, x) each; missing pixels are NaN and drawn white.
    """
    images = [(before, "as in the file"), (measured, "to measure on")]
    if not np.array_equal(measured, for_finding, equal_nan=True):
        images.append((for_finding, "to find columns on"))
    with style():
        figure, panels = new(3.6 * len(images) + 0.4, 3.9, 1, len(images))
        for axes, (pixels, title) in zip(panels, images, strict=True):
            low, high = np.nanpercentile(pixels, (0.5, 99.5)) if np.isfinite(pixels).any() else (0, 1)
            axes.imshow(pixels, cmap="gray", vmin=low, vmax=high)
            axes.set(title=title, xlabel="x / px")
        panels[0].set_ylabel("y / px")
    return figure


def plot_preprocessing(results: Results, frame: int = 0) -> Figure:
    """Draw the pixels of a frame before and after; they are prepared again, since the store doesn't hold them."""
    image, params = results.needed_image(frame), results.params("preprocess")
    if not isinstance(params, preprocess.PreprocessParams):
        raise StoreError("the run has no results in 'preprocess'")
    found = preprocess.run(image, params)
    return before_and_after(image.pixels, found[preprocess.MEASURED.path], found[preprocess.FOR_FINDING.path])


def parts(results: Results, frame: int) -> list[Part]:
    """Say what was done to the pixels, and show it."""
    part = Part(f"Preprocessing of frame {frame}", rows=rows_of(results, "preprocess", frame))
    params = results.params("preprocess")
    changed = {} if params is None else params.model_dump(mode="json", exclude_defaults=True)
    about = preprocess.PreprocessParams.model_fields
    part.rows += [(name.replace("_", " "), f"{value}: {about[name].description}") for name, value in changed.items()]
    if not changed:
        part.sentences.append("Nothing was done to the pixels.")
    if comment := results.attributes(preprocess.N_HOT_PIXELS.group).get("comment"):
        part.sentences.append(f"{comment[0].upper()}{comment[1:]}.")
    if results.image(frame) is not None:
        part.show("The pixels before and after.", lambda: plot_preprocessing(results, frame))
    return [part]


SHOWS = Shows(parts, {"preprocessing": plot_preprocessing})
