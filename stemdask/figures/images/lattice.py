"""The lattice: its vectors, and all columns of a frame brought into one cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.images.columns import columns, lattice
from stemdask.figures.images.inspection import sublattice_name
from stemdask.figures.style import MUTED, SUBLATTICES, new, style
from stemdask.kernels.images.finding.separation import scored_lattices
from stemdask.kernels.images.stacks.filters import invert
from stemdask.model import Array
from stemdask.results.shows import Doubt, Method, Part, Shows
from stemdask.results.views import Results
from stemdask.units import amount

#: How far the vectors of a multiple of a lattice may be from whole steps of it, in these steps.
_WHOLE = 0.1
#: Part of their lengths by which the vectors of one lattice differ from frame to frame, and before and after the fit.
_ALIKE = 0.05
_VECTORS = {"a": (lattice.A_Y, lattice.A_X), "b": (lattice.B_Y, lattice.B_X)}


def cell(found: xr.Dataset, mean: xr.Dataset) -> Figure:
    """Draw the columns of the first grain as places in one cell, in parts of its vectors.

    Parameters
    ----------
    found
        ``/columns`` of one frame: `y`, `x`, `sublattice`, `grain` (column).
    mean
        ``/lattice`` of the frame: `a_y`, `a_x`, `b_y`, `b_x`, `origin_y`, `origin_x`.
    """
    place = np.column_stack([found[variable.name] for variable in (columns.Y, columns.X)])
    basis = np.array([[float(mean[part.name]) for part in vector] for vector in _VECTORS.values()])
    origin = [float(mean[part.name]) for part in (lattice.ORIGIN_Y, lattice.ORIGIN_X)]
    kinds = found[lattice.SUBLATTICE.name].values
    there = np.isfinite(place).all(axis=1) & (found[lattice.GRAIN.name].values == 0)
    with style():
        figure, axes = new(4.6, 4.4)
        if there.any() and np.isfinite(basis).all():
            fractions = (place[there] - origin) @ np.linalg.inv(basis)
            fractions = (fractions + 0.25) % 1.0 - 0.25
            for value in np.unique(kinds[there]):
                chosen = kinds[there] == value
                colour = SUBLATTICES[value % len(SUBLATTICES)] if value >= 0 else MUTED
                look = {"s": 5, "linewidths": 0, "alpha": 0.5, "color": colour}
                axes.scatter(*fractions[chosen].T, label=sublattice_name(found, int(value)), **look)
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=2)
        axes.set(xlim=(-0.25, 0.75), ylim=(0.75, -0.25), aspect="equal", title="All columns in one cell")
        axes.set(xlabel="along a / a", ylabel="along b / b")
    return figure


def plot_lattice(results: Results, frame: int = 0) -> Figure:
    """Draw all columns of a frame in one cell."""
    return cell(results.at(columns.Y.group, frame), results.at(lattice.A_Y.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State the lattice vectors, what is wrong with the scale, and show the mean cell."""
    mean = results.at(lattice.A_Y.group, frame)
    part = Part(f"Lattice of frame {frame}")
    attributes = results.attributes(lattice.A_Y.group)
    part.sentences += [str(attributes[name]) for name in ("comment", "warning") if name in attributes]
    for name, vector in _VECTORS.items():
        length = float(np.hypot(float(mean[vector[0].name]), float(mean[vector[1].name])))
        part.rows.append((f"lattice vector {name}", amount(f"{length:.4f}", mean[vector[0].name].attrs["units"])))
    part.rows.append((lattice.CONFIDENCE.long_name, f"{float(mean[lattice.CONFIDENCE.name]):.2f}"))
    part.rows += [(f"cell {one.size}, score", _score(one.score)) for one in _scored(results, frame)]
    part.show("The columns of the first grain, all brought into one cell.", lambda: plot_lattice(results, frame))
    return [part]


class _Scored(NamedTuple):
    """A lattice that a range of separations allows."""

    size: str
    score: float
    """NaN where it repeats too seldom to be judged."""
    basis: Array
    """(2, 2), a and b, in the units of the store."""

    @property
    def lengths(self) -> Array:
        """Of its vectors, the shorter one first."""
        return np.sort(np.hypot(*self.basis.T))

    def is_multiple_of(self, other: _Scored) -> bool:
        """Tell whether its cell consists of whole cells of another lattice, which repeats with it in any case."""
        parts = self.basis @ np.linalg.inv(other.basis)
        return bool(np.abs(parts - parts.round()).max() < _WHOLE)


def _scored(results: Results, frame: int) -> list[_Scored]:
    """Return each lattice that a range of separations allows, the smallest first; nothing without a range."""
    params, image = results.params("columns"), results.image(frame)
    if not isinstance(params, columns.ColumnsParams) or not isinstance(params.separation, tuple) or image is None:
        return []
    dark = bool(results.config()["input"].get("invert"))
    nm = float(np.sqrt(np.prod(image.pixel_size)))
    least, greatest = (length.px(nm) for length in params.separation)
    scored = scored_lattices(invert(image.pixels) if dark else image.pixels, (least, greatest))
    units = str(results.at(columns.Y.group, frame)[columns.Y.name].attrs["units"])
    cells = [nm * np.array([one.a, one.b]) for one in scored]
    sizes = [" × ".join(f"{length:.4g}" for length in np.hypot(*cell.T)) for cell in cells]
    return [
        _Scored(amount(size, units), one.confidence, cell) for size, one, cell in zip(sizes, scored, cells, strict=True)
    ]


def choices(results: Results) -> list[str]:
    """Say which lattice was taken of those that a range of separations allows, and which comes next, by their scores.

    They are those of the first frame with results.
    """
    frame = int(results.good()[0])
    scored = _scored(results, frame)
    if not scored:
        return []
    mean = results.at(lattice.A_Y.group, frame)
    found = sorted(float(np.linalg.norm([float(mean[part.name]) for part in vector])) for vector in _VECTORS.values())
    taken = next((one for one in scored if np.allclose(one.lengths, found, rtol=_ALIKE)), None)
    others = sorted((one for one in scored if one is not taken), key=lambda one: -np.nan_to_num(one.score))
    which = f"frame {frame}" if results.n_frames > 1 else "the frame"
    said = f"cell {taken.size} taken (score {_score(taken.score)})" if taken else "none of them is that of the columns"
    if others:
        multiple = ", a multiple of it" if taken and others[0].is_multiple_of(taken) else ""
        said += f"; next {others[0].size} (score {_score(others[0].score)}{multiple})"
    return [f"separation: of {len(scored)} lattice{'s' if len(scored) > 1 else ''} in {which}, {said}"]


def words(results: Results, frame: int) -> list[str]:
    """State the cell, and whether the scale can be right where there is one."""
    mean = results.at(lattice.A_Y.group, frame)
    a, b = (np.array([float(mean[part.name]) for part in vector]) for vector in _VECTORS.values())
    lengths = np.hypot(*a), np.hypot(*b)
    if not np.isfinite(lengths).all():
        return []
    angle = np.degrees(np.arccos(a @ b / (lengths[0] * lengths[1])))
    sizes = amount(f"{lengths[0]:#.4g} × {lengths[1]:#.4g}", mean[lattice.A_Y.name].attrs["units"])
    flag = int(mean[lattice.CALIBRATION.name])
    scale = [f"scale: {lattice.CALIBRATION_FLAGS[flag]}"] if flag >= lattice.PLAUSIBLE else []
    grains = int(results.at(columns.Y.group, frame)[lattice.GRAIN.name].max()) + 1
    which = f" of the largest of {grains} grains" if grains > 1 else ""
    return [f"cell{which} {sizes}, {angle:.1f}°", *_gaps(mean), *scale]


def _gaps(mean: xr.Dataset) -> list[str]:
    """Say how many gaps there are inside the crystal, where there are any and stemdask looked for them."""
    count = int(mean.get(lattice.N_GAPS.name, 0))
    if not count:
        return []
    widest = amount(f"{2.0 * float(mean[lattice.WIDEST_GAP.name]):.3g}", mean[lattice.WIDEST_GAP.name].attrs["units"])
    many = "1 gap" if count == 1 else f"{count} gaps"
    up_to = f"{widest} across" if count == 1 else f"up to {widest} across"
    return [
        f"{many} inside the crystal, {up_to}, wider than those of its lattice: a hole, the core of a boundary or of a "
        "dislocation, or columns that weren't found"
    ]


def doubts(results: Results) -> list[Doubt]:
    """Return what is wrong with the scale; a vector that no crystal has is doubted by the columns already."""
    flags = results.read(lattice.CALIBRATION).values
    return [Doubt(lattice.CALIBRATION_FLAGS[flag], flags == flag) for flag in (lattice.UNEQUAL, lattice.DIFFERENT)]


def method(params: lattice.LatticeParams) -> Method:
    """Say what the lattice was fitted to."""
    known = "" if params.constant is None else f" The scale was compared with a lattice constant of {params.constant}."
    if params.structure is not None:
        zone = " ".join(map(str, params.zone))
        known = f" Sublattices were identified and the scale was checked with {params.structure.path} along [{zone}]."
    return Method(f"The mean lattice was fitted to the columns of sublattice A.{known}")


SHOWS = Shows(parts, {"lattice": plot_lattice}, words, doubts, method=method, choices=choices)


def _score(confidence: float) -> str:
    return f"{confidence:.2f}" if np.isfinite(confidence) else "repeats too seldom to be judged"
