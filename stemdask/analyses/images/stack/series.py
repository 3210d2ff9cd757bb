"""A series of one area: its columns are found once, on the average, and followed through all frames."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter

from stemdask.errors import FrameError
from stemdask.kernels.images.finding.columns import MAX_SUBLATTICES, Columns, find_columns
from stemdask.kernels.images.finding.separation import LatticeVectors, NoLatticeError
from stemdask.kernels.images.fitting.column_fit import OK
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.stacks.drift import UNRELATED, Drift, stitch
from stemdask.kernels.images.stacks.filters import invert
from stemdask.kernels.images.stacks.pixel_grid import PixelGrid
from stemdask.model import Array, ImageFrame, Variable

_BEYOND = -1
#: Columns beyond the border of a frame are still handed on within this many of their distances: their tails reach in.
_REACH = 1.5
#: Usual quality of the registration below which frames show different areas: it is 0.9 and more for ten electrons a
#: column, and 0.3 for two areas of one crystal turned against each other.
_ONE_AREA = 0.6
#: Part of the pixels around a column that must have a value.
_LEAST_SEEN = 0.9


class Expected(NamedTuple):
    """The columns of the series that lie in or next to a frame."""

    columns: Columns
    """On the frame's pixels."""
    site: Array
    """(n,), the number of the site of each of `columns.positions`."""
    n_sites: int


def site_variables() -> tuple[Variable, ...]:
    """Declare the sites; there are none where the average shows no lattice, or the frames show different areas."""
    site = ("site",)
    declared = (
        ("site_y", site, "float64", "nm", "column of the average along y"),
        ("site_x", site, "float64", "nm", "column of the average along x"),
        ("site_sublattice", site, "int8", "1", "its sublattice"),
        ("site_grain", site, "int8", "1", "its grain"),
        ("site_i", site, "int32", "1", "its cell along a, -1 beyond the area"),
        ("site_j", site, "int32", "1", "its cell along b, -1 beyond the area"),
        ("site_sigma", site, "float64", "nm", "standard deviation of the columns, roughly"),
        ("site_vectors", ("vector", "axis"), "float64", "nm", "lattice vectors a and b as (y, x)"),
        ("site_distance", (), "float64", "nm", "shortest distance of columns"),
        ("site_confidence", (), "float64", "1", "confidence in the lattice of the average"),
    )
    return tuple(
        Variable(f"registration/{name}", dims, dtype, units, long_name, stage="prepare")
        for name, dims, dtype, units, long_name in declared
    )


def find_sites(drift: Drift, frame: ImageFrame) -> dict[str, Array]:
    """Find the columns of the average of a stack.

    Parameters
    ----------
    drift
        The drift and the references, which are averaged.
    frame
        Any frame, for the calibration.
    """
    average, first = stitch(drift)
    if frame.results.get("preprocess/inverted", False):
        average = invert(average).astype(np.float32)
    scale, nm = np.asarray(frame.pixel_size), float(np.prod(frame.pixel_size)) ** 0.5
    none = np.zeros(0)
    try:
        if drift.quality < _ONE_AREA:
            raise NoLatticeError("the frames show different areas")
        found = find_columns(average)
    except NoLatticeError:
        sites = dict.fromkeys(("y", "x", "sublattice", "grain", "i", "j", "sigma"), none)
        sites |= {"vectors": np.full((2, 2), np.nan), "distance": np.array(np.nan), "confidence": np.array(0.0)}
    else:
        place = (_refined(average, found) + first) * scale + frame.offset
        sublattice = np.concatenate([found.sublattice, found.ghost_sublattice])
        beyond = np.full(len(found.ghosts), _BEYOND)
        sites = {
            "y": place[:, 0],
            "x": place[:, 1],
            "sublattice": sublattice,
            "grain": np.concatenate([found.grain, found.ghost_grain]),
            "i": np.concatenate([found.i, beyond]),
            "j": np.concatenate([found.j, beyond]),
            "sigma": found.widths[np.concatenate([found.grain, found.ghost_grain])] * nm,
            "vectors": np.stack([found.vectors.a, found.vectors.b]) * scale,
            "distance": np.array(found.distance * nm),
            "confidence": np.array(found.vectors.confidence),
        }
    return {
        variable.path: sites[variable.name.removeprefix("site_")].astype(variable.dtype)
        for variable in site_variables()
    }


def _refined(average: Array, found: Columns) -> Array:
    """Return the positions of columns and ghosts, fitted to the average.

    At low dose a fit of one frame leans on its start, so an error of the start would be the same in every frame.
    """
    start = np.concatenate([found.positions, found.ghosts])
    grain = np.concatenate([found.grain, found.ghost_grain])
    kind = np.concatenate([found.sublattice, found.ghost_sublattice]) + MAX_SUBLATTICES * grain
    fit = fit_joint(average, start, kind, np.repeat(found.widths, MAX_SUBLATTICES), noise="gaussian")
    good = (fit.flag == OK) & np.isfinite(fit.positions).all(axis=1)
    return np.where(good[:, None], fit.positions, start)


def expected_columns(frame: ImageFrame, pixels: Array, grid: PixelGrid) -> Expected | None:
    """Return where the columns of the series should be in a frame; None where the run has no series.

    Parameters
    ----------
    frame
        With its registration in `results`.
    pixels
        What is looked at; missing pixels are NaN.
    grid
        Where they lie in the frame.

    Raises
    ------
    FrameError
        The frame doesn't show the area, so that nothing is known of where its columns are.
    """
    results = frame.results
    if len(results.get("registration/site_y", ())) == 0:
        return None
    shift = np.array([results["registration/shift_y"], results["registration/shift_x"]], dtype=np.float64)
    least = UNRELATED * float(results["registration/usual_quality"])
    quality = float(results["registration/quality"])
    if np.isnan(quality):
        raise FrameError("the frame is blank", where="columns", remedy="Look at the frame in its file")
    if not np.isfinite(shift).all() or quality < least:
        raise FrameError(
            "the frame doesn't show the area of the series, so its columns can't be followed",
            where="columns",
            value=f"correlation {quality:.2f} with the average",
            allowed=f"{least:.2f} or more",
            remedy="If the frames show different areas, set registration.mode to independent",
        )
    site = {variable.name.removeprefix("site_"): results[variable.path] for variable in site_variables()}
    scale = np.asarray(frame.pixel_size)
    nm = float(np.prod(scale)) ** 0.5 * abs(float(np.linalg.det(grid.matrix))) ** 0.5
    place = grid.from_source((np.column_stack([site["y"], site["x"]]) + shift - frame.offset) / scale)
    distance = float(site["distance"]) / nm
    last = np.array(pixels.shape) - 1

    def within(margin: float) -> Array:
        return np.asarray(((place >= margin) & (place <= last - margin)).all(axis=1))

    near = within(-_REACH * distance)
    index = np.flatnonzero(near & (site["i"] != _BEYOND))
    ghosts = near & (site["i"] == _BEYOND)
    widths = np.ones(int(site["grain"].max()) + 1)
    widths[site["grain"]] = site["sigma"] / nm
    a, b = site["vectors"] @ (np.linalg.inv(grid.matrix).T / scale[:, None])
    columns = Columns(
        positions=place[index],
        sublattice=site["sublattice"][index],
        i=site["i"][index],
        j=site["j"][index],
        grain=site["grain"][index],
        interior=within(0.5 * distance)[index] & _seen(pixels, place[index], distance),
        ghosts=place[ghosts],
        ghost_sublattice=site["sublattice"][ghosts],
        ghost_grain=site["grain"][ghosts],
        vectors=LatticeVectors(a, b, float(site["confidence"])),
        distance=distance,
        widths=widths,
    )
    return Expected(columns, index, int(np.count_nonzero(site["i"] != _BEYOND)))


def _seen(pixels: Array, places: Array, distance: float) -> Array:
    """Tell which places have hardly a missing pixel around them."""
    valid = np.isfinite(pixels)
    if valid.all():
        return np.ones(len(places), dtype=bool)
    part = uniform_filter(valid.astype(np.float32), max(3, round(distance)), mode="nearest")
    at = np.clip(np.rint(places).astype(np.int64), 0, np.array(pixels.shape) - 1)
    return np.asarray(part[at[:, 0], at[:, 1]] >= _LEAST_SEEN)


def spread(values: Array, site: Array, n_sites: int) -> Array:
    """Return values (n, ...) of some sites as an array of all of them: NaN (or -1) for the others."""
    full = np.full((n_sites, *values.shape[1:]), np.nan if values.dtype.kind == "f" else -1, dtype=values.dtype)
    full[site] = values
    return full
