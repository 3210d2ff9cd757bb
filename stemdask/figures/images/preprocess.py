"""Preprocessing: the pixels of a frame before and after."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from stemdask.analyses.images.stack import preprocess
from stemdask.config.meanings import meanings
from stemdask.errors import StoreError
from stemdask.figures.numbers import rows_of
from stemdask.figures.style import new, style
from stemdask.model import Array
from stemdask.results.shows import Method, Part, Shows
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
    about = meanings(preprocess.PreprocessParams)
    for name, value in changed.items():
        part.rows.append((name.replace("_", " "), about[name] if value is True else f"{_text(value)}: {about[name]}"))
    if not changed:
        part.sentences.append("Nothing was done to the pixels.")
    if comment := results.attributes(preprocess.N_HOT_PIXELS.group).get("comment"):
        part.sentences.append(f"{comment[0].upper()}{comment[1:]}.")
    if results.image(frame) is not None:
        part.show("The pixels before and after.", lambda: plot_preprocessing(results, frame))
    return [part]


def method(params: preprocess.PreprocessParams) -> Method:
    """Say what was done to the pixels, in the order in which it was done."""
    done = []
    if params.hot_pixels is not None:
        done.append(f"pixels that differ from all their neighbours by more than {params.hot_pixels:g} SD were excluded")
    if params.detector is not None:
        done.append("intensities were normalised to the incident beam with the response of the detector")
    if params.invert:
        done.append("the contrast was inverted")
    if params.crop is not None:
        top, left, bottom, right = params.crop
        done.append(f"the region from ({top}, {left}) to ({bottom}, {right}), y and x, was cropped")
    if (angle := params.rotate.angle) != 0:
        turned = "images were rotated by interpolation" if params.rotate.pixels else "axes of vectors were rotated"
        done.append(f"{turned} by {abs(angle):g}° {'counter-clockwise' if angle > 0 else 'clockwise'}")
    if params.upsample > 1:
        done.append(f"images were upsampled {params.upsample} times by cubic splines")
    for_finding = "" if params.measure_on == "filtered" else ", only to find columns"
    if params.flatten is not None:
        done.append(f"the local mean over a Gaussian of {params.flatten} (SD) was subtracted{for_finding}")
    if params.smooth is not None:
        done.append(f"images were smoothed by a Gaussian of {params.smooth} (SD){for_finding}")
    if params.measure_on == "filtered" and (params.flatten is not None or params.smooth is not None):
        done.append("columns were measured on the images filtered in this way")
    return Method(f"Before columns were found, {'; '.join(done)}." if done else "Images were analysed as recorded.")


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_text(one)}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)


SHOWS = Shows(parts, {"preprocessing": plot_preprocessing}, method=method)
