"""Displacements: as arrows over the image, and as a distribution beside what noise alone would give."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.images.cells import displacement
from stemdask.figures.canvas import arrows, colour_wheel, height_of, map_axes, scatter_uv, show_image
from stemdask.figures.numbers import median_row
from stemdask.figures.style import INK, SUBLATTICES, new, quantity, style
from stemdask.model import Array, ImageFrame
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results
from stemdask.units import amount

_WIDTH = 7.0
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
    y, x, u, v = _finite(found)
    units, lengths = (str(found[variable.name].attrs["units"]) for variable in (displacement.U, displacement.Y))
    with style():
        figure, axes = new(_WIDTH, height_of(frame, _WIDTH) if frame is not None else 6.2)
        if frame is not None:
            show_image(axes, frame, lengths, faint=True)
        else:
            map_axes(axes, lengths)
        if u.size:
            magnitude = np.hypot(u, v)
            typical = float(np.percentile(magnitude, 90)) or 1.0
            drawn = arrows(axes, y, x, u, v, typical=typical)
            key = _round(typical)
            axes.quiverkey(drawn, 0.86, 1.03, key, amount(f"{key:g}", units), labelpos="E", coordinates="axes")
            colour_wheel(axes, (1.015, 0.0, 0.11, 0.11))
            axes.set_title(f"Displacement, median {amount(f'{np.median(magnitude):.1f}', units)}")
        else:
            axes.set_title("Displacement: no cell found")
    return figure


def distribution(found: xr.Dataset) -> Figure:
    """Draw u against v of all vectors, and the distribution of their magnitudes beside what noise alone would give."""
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
            r = np.linspace(0, reach, 300)
            noise = u.size * (reach / 50) * r / sigma**2 * np.exp(-0.5 * (r / sigma) ** 2)
            right.plot(r, noise, color=INK, lw=1, label=f"noise alone, σ = {amount(f'{sigma:.1f}', units)}")
            right.set_ylim(0, 1.15 * max(patch.get_height() for patch in right.patches))
            right.legend()
        right.set(xlabel=quantity("magnitude", units), ylabel="vectors", title="Magnitude")
    return figure


def plot_displacement(results: Results, frame: int = 0) -> Figure:
    """Draw the displacement vectors, over their image where it can be read."""
    return quiver(results.at(displacement.U.group, frame), results.image(frame))


def plot_distribution(results: Results, frame: int = 0) -> Figure:
    """Draw the distribution of the displacement vectors."""
    return distribution(results.at(displacement.U.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State medians and errors, and show the vectors."""
    found = results.at(displacement.U.group, frame)
    part = Part(f"Displacement of frame {frame}")
    part.sentences += _said(results)
    if not np.isfinite(found[displacement.U.name].values).any():
        part.sentences = part.sentences or ["No cell was found whose displacement could be measured."]
        return [part]
    part.sentences += _mean(found)
    part.rows.append(median_row("median magnitude", found[displacement.MAGNITUDE.name]))
    for component, error in ((displacement.U, displacement.U_ERR), (displacement.V, displacement.V_ERR)):
        part.rows.append(median_row(f"median {component.name}", found[component.name]))
        part.rows.append(median_row(f"median standard error of {component.name}", found[error.name]))
    known = found[displacement.SIGNIFICANT.name].values[np.isfinite(found[displacement.U.name].values)]
    part.rows.append(("significant at 95 %", f"{int((known == 1).sum())} of {known.size}"))
    part.show("Displacement of the cells; colour = direction.", lambda: plot_displacement(results, frame))
    part.show("All vectors, and what their standard errors alone would give.", lambda: distribution(found))
    return [part]


def words(results: Results, frame: int) -> list[str]:
    """Say how large the displacements are, beside their noise."""
    found = results.at(displacement.U.group, frame)
    noise = _noise(found)
    if not np.isfinite(noise):
        return _said(results)
    units = str(found[displacement.U.name].attrs["units"])
    digits = _digits(noise)
    median, floor = (
        amount(f"{value:.{digits}f}", units)
        for value in (np.nanmedian(found[displacement.MAGNITUDE.name].values), noise)
    )
    said = [f"median displacement {median}, noise floor {floor}", *_mean(found), *_said(results)]
    return said if units == displacement.U.units else [*said, _UNCALIBRATED]


def _said(results: Results) -> list[str]:
    """Return what is displaced against what, or why nothing is."""
    attributes = results.attributes(displacement.U.group)
    return [str(attributes[name]) for name in ("comment", "warning") if name in attributes]


def _mean(found: xr.Dataset) -> list[str]:
    """Return what is known of the mean of all displacements, beside the differences between cells."""
    values = [(found[value.name], float(found[shared.name])) for value, shared in _MEANS]
    if not all(np.isfinite(shared) and np.isfinite(value.values).any() for value, shared in values):
        return []
    units = str(found[displacement.U.name].attrs["units"])
    along = " and ".join(
        f"{amount(f'{float(value.median()):.{_digits(shared)}f} ± {shared:.{_digits(shared)}f}', units)} along {axis}"
        for (value, shared), axis in zip(values, "xy", strict=True)
    )
    means = [abs(float(value.mean())) for value, _ in values]
    unsure = all(mean < 2.0 * shared for mean, (_, shared) in zip(means, values, strict=True))
    more = ": it can't be told from zero without a reference; differences between cells can" if unsure else ""
    return [f"the mean, as far as the shape of the columns leaves it known, is {along}{more}"]


def _digits(error: float) -> int:
    """Return the decimals of a number that is known this well."""
    return max(0, 1 - int(np.floor(np.log10(error)))) if error > 0 else 2


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


def _round(value: float) -> float:
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * min((1, 2, 5, 10), key=lambda step: abs(step * power - value)))


SHOWS = Shows(parts, {"displacement": plot_displacement, "distribution": plot_distribution}, words)
