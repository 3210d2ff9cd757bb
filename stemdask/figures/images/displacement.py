"""Displacements: as arrows over the image, and as a distribution beside what noise alone would give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from stemdask.analyses.images.cells import displacement
from stemdask.analyses.images.stack import rotation
from stemdask.figures.canvas import (
    arrows,
    colour_wheel,
    height_of,
    height_over,
    lattice_cells,
    map_axes,
    round_length,
    scatter_uv,
    show_image,
    spacing,
    value_bar,
    wheel,
)
from stemdask.figures.numbers import decimals, number
from stemdask.figures.pixels import in_pixels
from stemdask.figures.style import INK, SUBLATTICES, new, quantity, style
from stemdask.kernels.images.stacks.pixel_grid import turn
from stemdask.model import Array, ImageFrame, Variable
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results
from stemdask.units import amount

_WIDTH = 7.0
#: Places around whose spread along two axes differs more lie on a line.
_FLAT = 100.0
#: Times the bars of a histogram that the curve beside them may be high.
_TALLER = 3.0
_UNCALIBRATED = "in pixels until input.pixel_size is given"


_MEANS = ((displacement.U, displacement.U_SYS), (displacement.V, displacement.V_SYS))


def quiver(found: xr.Dataset, frame: ImageFrame | None = None) -> Figure:
    """Draw the displacement vectors, coloured by direction, over their image where it is given.

    Parameters
    ----------
    found
        ``/displacement`` of one frame: `y`, `x`, `u`, `v` (cell), v downwards.
    frame
        The image, drawn faintly below.
    """
    found = in_pixels(found)
    y, x, u, v = _finite(found)
    units, lengths = (str(found[variable.name].attrs["units"]) for variable in (displacement.U, displacement.Y))
    with style():
        figure, axes = new(_WIDTH, height_of(frame, _WIDTH - 1.0) if frame is not None else 6.2)
        if frame is not None:
            show_image(axes, frame, lengths, faint=True)
        else:
            map_axes(axes, lengths)
        if u.size:
            magnitude = np.hypot(u, v)
            typical = float(np.percentile(magnitude, 90)) or 1.0
            drawn = arrows(axes, y, x, u, v, typical=typical)
            key = round_length(typical)
            axes.quiverkey(drawn, 0.86, 1.03, key, amount(f"{key:g}", units), labelpos="E", coordinates="axes")
            colour_wheel(axes, (1.05, 0.02, 0.12, 0.12))
            middle = float(np.median(magnitude))
            median = f"{middle:.{decimals(_noise(found), middle)}f}"
            axes.set_title(f"Displacement, median {amount(median, units)}")
        else:
            axes.set_title("Displacement: no cell found")
    return figure


def maps(found: xr.Dataset) -> Figure:
    """Draw magnitude, direction, divergence and curl of the displacements as maps.

    Parameters
    ----------
    found
        ``/displacement`` of one frame: `y`, `x`, `u`, `v` (cell), v downwards, and their errors.
    """
    found = in_pixels(found)
    y, x, u, v = _finite(found)
    units, lengths = (str(found[variable.name].attrs["units"]) for variable in (displacement.U, displacement.Y))
    thousandths = 1e3 if units == lengths else 1.0  # pm per nm are thousandths, px per px aren't
    divergence, curl, error = gradients(y, x, thousandths * u, thousandths * v, thousandths * _noise(found))
    with style():
        figure, panels = new(9.6, 2.0 * height_over(y, x, 3.9), 2, 2, sharex=True, sharey=True)
        for axes in panels.flat:
            map_axes(axes, lengths)
            axes.label_outer()
        shown = lattice_cells(panels[0, 0], y, x, array=np.hypot(u, v), cmap="viridis", clim=(0, _most(np.hypot(u, v))))
        value_bar(panels[0, 0], shown)
        lattice_cells(panels[0, 1], y, x, array=np.arctan2(-v, u), cmap=wheel(), clim=(-np.pi, np.pi))
        colour_wheel(panels[0, 1], (1.08, 0.4, 0.18, 0.18))
        reach = max(_most(divergence), _most(curl))
        for axes, values in zip(panels[1], (divergence, curl), strict=True):
            there = np.isfinite(values)
            look = {"cmap": "RdBu_r", "clim": (-reach, reach)}
            shown = lattice_cells(axes, y[there], x[there], array=values[there], **look)
            value_bar(axes, shown)
        noise = "" if not np.isfinite(error) else f" (noise alone: ± {error:.2g})"
        titles = (quantity("magnitude", units), "direction", f"divergence / 10⁻³{noise}", f"curl / 10⁻³{noise}")
        for axes, title in zip(panels.flat, titles, strict=True):
            axes.set_title(title)
    return figure


def gradients(y: Array, x: Array, u: Array, v: Array, noise: float) -> tuple[Array, Array, float]:
    """Return divergence and curl of a field (u right, v down) at its places, and the median standard error of both.

    Each is the slope of the plane that fits the places around best; NaN where there are none, or all on a line.
    Counter-clockwise curl is positive, as displayed.

    Parameters
    ----------
    y, x, u, v
        (n,).
    noise
        Standard error of a component.
    """
    nothing = np.full(y.size, np.nan)
    if y.size < 4:
        return nothing, nothing, float("nan")
    place = np.column_stack([y, x])
    distance, near = cKDTree(place).query(place, k=min(9, y.size))
    inside = distance < 1.6 * spacing(y, x)
    arm = np.where(inside[..., None], place[near] - place[:, None], 0.0)
    number = inside.sum(axis=1)
    arm = np.where(inside[..., None], arm - (arm.sum(axis=1) / number[:, None])[:, None], 0.0)
    square = np.einsum("nki,nkj->nij", arm, arm)
    good = (number > 3) & (np.linalg.cond(square) < _FLAT)
    inverse = np.linalg.inv(square[good])
    slopes = np.einsum("nij,nkj,nkc->nic", inverse, arm[good], np.stack([u, v], axis=-1)[near[good]])
    divergence, curl = nothing.copy(), nothing.copy()
    divergence[good] = slopes[:, 1, 0] + slopes[:, 0, 1]
    curl[good] = slopes[:, 0, 0] - slopes[:, 1, 1]
    error = float(np.median(noise * np.sqrt(np.trace(inverse, axis1=1, axis2=2)))) if good.any() else float("nan")
    return divergence, curl, error


def _most(values: Array) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return (float(np.percentile(finite, 99)) if finite.size else 1.0) or 1.0


def distribution(found: xr.Dataset) -> Figure:
    """Draw u against v of all vectors, and the distribution of their magnitudes beside what noise alone would give."""
    found = in_pixels(found)
    _, _, u, v = _finite(found)
    units = str(found[displacement.U.name].attrs["units"])
    with style():
        figure, (left, right) = new(8.0, 3.6, 1, 2)
        scatter_uv(left, u, v, units, color=SUBLATTICES[1])
        left.set_title(f"{u.size} vectors")
        reach = left.get_xlim()[1]
        right.hist(np.hypot(u, v), bins=50, range=(0, reach), color=SUBLATTICES[1], alpha=0.75, label="found")
        sigma = _noise(found)
        if u.size and sigma > 0:
            r = np.unique(np.append(np.linspace(0, min(6 * sigma, reach), 200), np.linspace(0, reach, 300)))
            noise = u.size * (reach / 50) * r / sigma**2 * np.exp(-0.5 * (r / sigma) ** 2)
            floor = amount(f"{sigma:.{decimals(sigma)}f}", units)
            tallest = max(patch.get_height() for patch in right.patches)
            lowered = noise.max() > _TALLER * tallest  # or there would be no bars to be seen
            noise *= tallest / noise.max() if lowered else 1.0
            label = f"noise alone, σ = {floor}" + (", height not to scale" if lowered else "")
            right.plot(r, noise, color=INK, lw=1, label=label)
            right.set_ylim(0, 1.4 * max(tallest, noise.max()))  # the legend is above both
            right.legend(loc="upper right")
        right.set(xlabel=quantity("magnitude", units), ylabel="vectors", title="Magnitude")
    return figure


def plot_displacement(results: Results, frame: int = 0) -> Figure:
    """Draw the displacement vectors, over their image where it can be read."""
    image = results.image(frame)
    if image is not None and rotation.ANGLE in results:
        image = _turned(image, *(float(results.read(variable, frame)) for variable in rotation.TURN))
    return quiver(results.at(displacement.U.group, frame), image)


def _turned(image: ImageFrame, angle: float, y: float, x: float) -> ImageFrame | None:
    """Return an image in the coordinates of the displacements, to be drawn; None where its pixels aren't square."""
    if not np.isclose(*image.pixel_size, rtol=0.005):
        return None
    pixels, _ = turn(image.pixels.astype(np.float32), angle)
    low_y, low_x = (np.array([y, x]) - 0.5 * (np.array(pixels.shape) - 1) * image.pixel_size).tolist()
    return replace(image, pixels=pixels, offset=(low_y, low_x))


def plot_maps(results: Results, frame: int = 0) -> Figure:
    """Draw magnitude, direction, divergence and curl of the displacements as maps."""
    return maps(results.at(displacement.U.group, frame))


def plot_distribution(results: Results, frame: int = 0) -> Figure:
    """Draw the distribution of the displacement vectors."""
    return distribution(results.at(displacement.U.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State medians and errors, and show the vectors."""
    found = in_pixels(results.at(displacement.U.group, frame))
    part = Part(f"Displacement of frame {frame}")
    part.sentences += map(_sentence, _said(results))
    if not np.isfinite(found[displacement.U.name].values).any():
        part.sentences = part.sentences or ["No cell was found whose displacement could be measured."]
        return [part]
    part.sentences += map(_sentence, _mean(found))
    part.rows.append(("median magnitude", _median(found, displacement.MAGNITUDE, _noise(found))))
    for component, error in ((displacement.U, displacement.U_ERR), (displacement.V, displacement.V_ERR)):
        own = float(found[error.name].median())
        part.rows.append((f"median {component.name}, error of one cell", _median(found, component, own, stated=True)))
    known = found[displacement.SIGNIFICANT.name].values[np.isfinite(found[displacement.U.name].values)]
    part.rows.append(("significant at 95 %", f"{int((known == 1).sum())} of {known.size}"))
    floor = results.read(displacement.NOISE_FLOOR, frame)
    part.rows.append((displacement.NOISE_FLOOR.long_name, number(floor, digits=2)))
    part.show("Displacement of the cells; the colour is its direction.", lambda: plot_displacement(results, frame))
    part.show("Magnitude, direction, divergence and curl of the displacements.", lambda: maps(found))
    part.show("All vectors, and what their standard errors alone would give.", lambda: distribution(found))
    return [part]


def words(results: Results, frame: int) -> list[str]:
    """Say how large the displacements are, beside their noise."""
    found = in_pixels(results.at(displacement.U.group, frame))
    noise = _noise(found)
    if not np.isfinite(noise):
        return _said(results)
    units = str(found[displacement.U.name].attrs["units"])
    floor = amount(f"{noise:.{decimals(noise)}f}", units)
    said = [
        f"median displacement {_median(found, displacement.MAGNITUDE, noise)}, error of one cell {floor}",
        *_mean(found),
        *_said(results),
    ]
    return said if units == displacement.U.units else [*said, _UNCALIBRATED]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _said(results: Results) -> list[str]:
    """Return what is displaced against what, or why nothing is."""
    attributes = results.attributes(displacement.U.group)
    return [str(attributes[name]) for name in ("comment", "warning") if name in attributes]


def _mean(found: xr.Dataset) -> list[str]:
    """Return what is known of the mean of all displacements, beside the differences between cells."""
    values = [(found[value.name], float(found[shared.name])) for value, shared in _MEANS]
    if not all(np.isfinite(shared) and np.isfinite(value.values).any() for value, shared in values):
        return []
    along = ", ".join(
        f"{_rounded(value, float(value.mean()), shared, stated=True)} along {axis}"
        for (value, shared), axis in zip(values, "xy", strict=True)
    )
    unsure = all(abs(float(value.mean())) < 2.0 * shared for value, shared in values)
    more = "; not distinguishable from zero without a reference" if unsure else ""
    return [f"mean {along}{more}", "the errors of the mean come from the shape of the columns"]


def _median(found: xr.Dataset, variable: Variable, error: float, *, stated: bool = False) -> str:
    """Return the median of a variable to the digits that an error leaves, with the error where it is to be stated."""
    values = found[variable.name]
    return _rounded(values, float(values.median()), error, stated=stated)


def _rounded(values: xr.DataArray, value: float, error: float, *, stated: bool) -> str:
    """Return a value in the unit of others to the digits that an error leaves, with the error if it is stated."""
    digits = decimals(error, value)
    text = f"{value:z.{digits}f}".replace("-", "−")
    return amount(f"{text} ± {error:.{digits}f}" if stated else text, str(values.attrs["units"]))


def _noise(found: xr.Dataset) -> float:
    """Return the median standard error of a component; NaN where none is known."""
    u_err, v_err = (found[variable.name].values for variable in (displacement.U_ERR, displacement.V_ERR))
    sigma = np.sqrt(0.5 * (u_err**2 + v_err**2))
    return float(np.nanmedian(sigma)) if np.isfinite(sigma).any() else float("nan")


def _finite(found: xr.Dataset) -> tuple[Array, Array, Array, Array]:
    """Return y, x, u and v of the cells that there are."""
    variables = (displacement.Y, displacement.X, displacement.U, displacement.V)
    values = np.stack([np.asarray(found[variable.name].values, dtype=float) for variable in variables])
    y, x, u, v = values[:, np.isfinite(values).all(axis=0)]
    return y, x, u, v


def method(params: displacement.DisplacementParams) -> Method:
    """Say what is displaced against what."""
    against = {
        "neighbours": "from the centre of the {} columns around it",
        "line": "from straight lines through the {} columns",
        "lattice": "from the mean lattice of the {} columns",
    }[params.reference].format(params.framework)
    removed = {
        "none": "nothing was subtracted",
        "mean": "the mean of each image was subtracted",
        "tilt": "a plane fitted to those of each image was subtracted",
    }[params.remove]
    text = (
        f"The displacement of each {params.displaced} column was measured {against}; {removed}. Its standard errors "
        "include the covariance of the columns from which it was computed; it was taken as significant if zero lay "
        "outside its 95 % confidence ellipse."
    )
    if params.born_charge is not None:
        text += f" The polarisation was computed with a Born effective charge of {params.born_charge:g} e."
    return Method(text)


SHOWS = Shows(
    parts,
    {"displacement": plot_displacement, "displacement_maps": plot_maps, "distribution": plot_distribution},
    words,
    slides=("displacement",),
    method=method,
)
