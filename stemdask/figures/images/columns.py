"""Columns: over their image, by sublattice."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.images.columns import columns, edits, gate, lattice
from stemdask.errors import StoreError
from stemdask.figures.canvas import height_of, legend_below, show_image
from stemdask.figures.images.inspection import inspection, mark_columns, residual, residual_of, sublattice_name
from stemdask.figures.numbers import median_row
from stemdask.figures.style import new, style
from stemdask.kernels.images.finding.quality import UNUSABLE
from stemdask.kernels.images.fitting.column_fit import OK, WEAK
from stemdask.kernels.images.stacks.filters import invert
from stemdask.model import ImageFrame
from stemdask.results.shows import Doubt, Method, Part, Shows
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
    n = int(np.isfinite(found[columns.Y.name].values).sum())
    with style():
        figure, axes = new(_WIDTH, height_of(frame, _WIDTH))
        show_image(axes, frame, _unit(found))
        mark_columns(axes, frame, found, inches=_WIDTH)
        if n:
            legend_below(axes)
        axes.set_title(f"Columns found: {n}")
    return figure


def plot_columns(results: Results, frame: int = 0) -> Figure:
    """Draw the columns found over their image."""
    return overlay(results.needed_image(frame), results.at(columns.Y.group, frame))


def plot_inspection(results: Results, frame: int = 0) -> Figure:
    """Draw image, columns and residual of a typical place, the worst, and one at the edge."""
    image, found = _as_fitted(results, results.needed_image(frame)), results.at(columns.Y.group, frame)
    left_over = residual_of(image, found) if _has_residual(results) else None
    return inspection(image, found, left_over, title=_title(results))


def plot_residual(results: Results, frame: int = 0) -> Figure:
    """Draw what the fit leaves over of the whole image."""
    if not _has_residual(results):
        raise StoreError("the store doesn't hold what was fitted: other pixels than those of the file, or no shape")
    image, found = _as_fitted(results, results.needed_image(frame)), results.at(columns.Y.group, frame)
    return residual(image, residual_of(image, found), _unit(found))


def _as_fitted(results: Results, image: ImageFrame) -> ImageFrame:
    """Return an image in the contrast in which it was fitted."""
    return replace(image, pixels=invert(image.pixels)) if _polarity(results) == "dark" else image


def _title(results: Results) -> str:
    return "image, inverted" if _polarity(results) == "dark" else "image"


def _unit(found: xr.Dataset) -> str:
    return str(found[columns.Y.name].attrs["units"])


def _has_residual(results: Results) -> bool:
    """Tell whether the store holds the model of the fit, of the file's pixels but for their contrast."""
    if columns.KURTOSIS not in results:  # an older version wrote the store
        return False
    params = results.params("preprocess")
    changed = {} if params is None else params.model_dump(exclude_defaults=True)
    if not changed.get("rotate", {}).get("pixels"):
        changed.pop("rotate", None)
    return results.params("denoise_images") is None and not changed.keys() - {"invert"}


def parts(results: Results, frame: int) -> list[Part]:
    """Say how many columns there are, how exact they are, and show them."""
    found = results.at(columns.Y.group, frame)
    part = Part(f"Columns of frame {frame}", rows=[("columns are", _polarity(results))])
    part.rows += [(name, str(count)) for name, count in _counts(found)]
    if edits.N_EDITS in results:
        part.rows.append(("corrections by hand", str(int(found[edits.N_EDITS.name]))))
    flags = found[columns.FLAG.name].values[np.isfinite(found[columns.Y.name].values)]
    part.rows.append(("fits that converged well", f"{int(np.isin(flags, (OK, WEAK)).sum())} of {flags.size}"))
    part.rows.append(("of them less than half as high as their neighbours", str(int((flags == WEAK).sum()))))
    part.sentences += [f"{limit[0].upper()}{limit[1:]}." for limit in _limits(results, frame)]
    if doubt := _doubt(results, frame):
        part.sentences.append(f"Doubtful: {doubt}.")
    for error, position in ((columns.Y_ERR, columns.Y), (columns.X_ERR, columns.X)):
        part.rows.append(median_row(f"median standard error of {position.name}", found[error.name], digits=2))
    image = results.image(frame)
    if image is None:
        part.sentences.append("The input can't be read from here, so the columns are not shown over their image.")
    else:
        as_fitted, has_residual = _as_fitted(results, image), _has_residual(results)
        left_over = cache(lambda: residual_of(as_fitted, found))  # two pictures show it
        part.show(
            "Three places, pixel for pixel: typical, the worst, and the edge of what was found. Circles have the "
            "colours of the sublattices; columns that could not be measured are grey crosses. Residual: grey where "
            "no column was fitted.",
            lambda: inspection(as_fitted, found, left_over() if has_residual else None, title=_title(results)),
        )
        part.show("The columns found, over the image.", lambda: overlay(image, found))
        if has_residual:
            part.show(
                "What the fit leaves over; grey: outside of the columns.",
                lambda: residual(as_fitted, left_over(), _unit(found)),
            )
        else:
            part.sentences.append(
                "What the fit leaves over is not shown: the store doesn't hold the pixels that were fitted, which are "
                "prepared ones, or the shape of the columns, which an older version left out."
            )
    return [part]


def words(results: Results, frame: int) -> list[str]:
    """Count the columns, say whether they are bright or dark, how many could be measured, and what is doubtful."""
    (name, count), *of_sublattices = _counts(results.at(columns.Y.group, frame))
    said = [f"{count} {_polarity(results)} {name}", *(f"{count} {name}" for name, count in of_sublattices)]
    said.append(f"{100 * float(results.read(gate.QUALITY, frame)):.3g} % could be measured")
    if edits.N_EDITS in results:
        said.append(f"{int(results.read(edits.N_EDITS, frame))} corrected by hand")
    said += _limits(results, frame)
    doubt = _doubt(results, frame)
    return [*said, f"doubtful: {doubt}"] if doubt else said


def doubts(results: Results) -> list[Doubt]:
    """Return what the gate found doubtful."""
    reasons = results.read(gate.REASONS).values
    return [Doubt(text, (reasons > 0) & (reasons & reason > 0)) for reason, text in gate.DOUBTS.items()]


def _limits(results: Results, frame: int) -> list[str]:
    """Say what keeps the columns of a frame from being known better; nothing of a store of an older version."""
    said = []
    if columns.TOO_FAINT in results and (height := float(results.read(columns.TOO_FAINT, frame))) > 0:
        said.append(
            f"in the mean of all cells there is something {100 * height:.2g} % as high as A, faint columns or where "
            "tails meet, that does not show in single cells"
        )
    background = int(results.read(columns.BACKGROUND_KIND, frame)) if columns.BACKGROUND_KIND in results else 0
    if background == 1:
        said.append(
            "the level between the columns varies from cell to cell (contamination, a support or their own tails), "
            "so that they are taken as Gaussians"
        )
    if background == 2:
        said.append(
            "the level between the columns varies by more than a twentieth of their height, yet was to be constant "
            "(background: constant): positions can be off by more than their errors; leave that key out"
        )
    return said


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
        lost = (kinds < 0) & np.isin(found[columns.FLAG.name].values[good], UNUSABLE)
        for name, count in (
            ("that could not be measured", lost.sum()),
            ("on no site of the lattice", ((kinds < 0) & ~lost).sum()),
        ):
            counts += [(name, int(count))] if count else []
        for value in np.unique(kinds[kinds >= 0]):
            counts.append((f"of sublattice {sublattice_name(found, int(value))}", int((kinds == value).sum())))
    return counts


def method(params: columns.ColumnsParams) -> Method:
    """Say how columns were found and measured."""
    if params.engine == "atomap":
        return Method(f"{_found(params)} and measured with atomap.", ("nord2017",))
    found = _found(params)
    if params.separation != "auto":
        given = params.separation if isinstance(params.separation, tuple) else (params.separation,)
        found += f" (distance between like columns: {' to '.join(map(str, given))})"
    if params.refinement == "centre_of_mass":
        return Method(f"{found} and measured by their centres of mass.")
    if params.refinement == "gaussian":
        return Method(f"{found} and fitted one by one with elliptical Gaussians.", ("ober2004",))
    width = {"shared": "of one width", "map": "whose width varies smoothly", "free": "each of its own width"}
    below = {"constant": "a constant", "spline": "a smooth"}[params.background]
    shape = (
        ""
        if params.shape == "gaussian"
        else ", with a kurtosis, a coma and a halo common to all columns where the image shows them"
    )
    noise = {"auto": "the noise estimated from the image", "poisson": "counting noise", "gaussian": "uniform noise"}
    return Method(
        f"{found}. All columns of an image were fitted simultaneously, so that their overlap was taken into account, "
        f"as elliptical Gaussians {width[params.widths]} on {below} background{shape}. Pixels were weighted by "
        f"{noise[params.noise]}; standard errors follow from the Fisher information.",
        ("debacker2016", "ober2004", *(() if params.shape == "gaussian" else ("anderson2000",))),
    )


def _found(params: columns.ColumnsParams) -> str:
    if params.edits is None:
        return "Atomic columns were located from the lattice of the image"
    checksum = f" (SHA-256 {params.edits.sha256[:16]}…)" if params.edits.sha256 else ""
    edits = f"corrected by hand with {params.edits.path}{checksum}"
    return f"Atomic columns were located from the lattice of the image, {edits}"


SHOWS = Shows(
    parts,
    {"columns": plot_columns, "inspection": plot_inspection, "fit_residual": plot_residual},
    words,
    doubts,
    slides=("inspection",),
    method=method,
)
