"""Images denoised for finding: the first frame, what was taken from it, and what is left."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from stemdask.analyses.images.stack import denoise_images
from stemdask.figures.numbers import rows_of
from stemdask.figures.style import new, style
from stemdask.model import Array
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results


def removed(pixels: Array, taken: Array) -> Figure:
    """Draw a frame as measured, denoised, and what was removed, which should show no lattice.

    Parameters
    ----------
    pixels, taken
        (y, x), the frame and what was removed from it.
    """
    with style():
        figure, panels = new(10.5, 3.9, 1, 3, sharex=True, sharey=True)
        low, high = np.nanpercentile(pixels, (0.5, 99.5)) if np.isfinite(pixels).any() else (0, 1)
        for axes, shown, title in zip(panels, (pixels, pixels - taken), ("as measured", "denoised"), strict=False):
            axes.imshow(shown, cmap="gray", vmin=low, vmax=high)
            axes.set_title(title)
        reach = (float(np.nanpercentile(np.abs(taken), 99.5)) if np.isfinite(taken).any() else 1.0) or 1.0
        drawn = panels[2].imshow(taken, cmap="RdBu_r", vmin=-reach, vmax=reach)
        panels[2].set_title("removed")
        figure.colorbar(drawn, ax=panels[2], shrink=0.8, label="intensity")
        for axes in panels:
            axes.set_xlabel("x / px")
        panels[0].set_ylabel("y / px")
    return figure


def plot_denoised_image(results: Results) -> Figure:
    """Draw the first frame as measured, denoised, and what was removed."""
    return removed(results.needed_image(0).pixels, results.read(denoise_images.FIRST_REMOVED).values)


def parts(results: Results, frame: int) -> list[Part]:
    """Say what such denoising does to displacements, and show the first frame."""
    part = Part("Denoised images", rows=rows_of(results, "denoise_images", frame))
    part.sentences.append(str(results.attributes(denoise_images.SLOPE.group)["statement"]))
    image = results.image(0)
    if image is not None and image.pixels.shape == results.read(denoise_images.FIRST_REMOVED).shape:
        part.show("The first frame as measured, denoised, and what was removed.", lambda: plot_denoised_image(results))
    return [part]


SHOWS = Shows(parts, {"denoised_image": plot_denoised_image})
