"""Displacement: how far each B column is from where its A columns would have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from stemdask.analyses.images.cells.framework_cells import framework_cells
from stemdask.analyses.images.cells.line_noise import known_median, line_noise
from stemdask.analyses.images.columns import columns, lattice, structure
from stemdask.analyses.images.columns.scan_distortion import positions_of
from stemdask.analyses.images.stack import rotation
from stemdask.analyses.images.stack.pixels import pixels_of
from stemdask.kernels.images.crystal.displacement import (
    REFERENCES,
    Displacements,
    displacements,
    noise_floor,
    nominal_site,
)
from stemdask.kernels.images.crystal.lattice import Lattice, fit_lattice
from stemdask.kernels.images.crystal.line_noise import LineNoise
from stemdask.kernels.images.crystal.scatter import with_scatter
from stemdask.kernels.images.finding.motif import mean_cell
from stemdask.kernels.images.finding.sites import to_grid
from stemdask.kernels.images.fitting.mean_cell_shapes import moves_by_shape
from stemdask.model import Analysis, Array, ImageFrame, Params, Stack, Variable
from stemdask.units import LengthAngstrom

_PM = 1e3
#: µC/cm² of one electron charge on a square angstrom.
_CHARGE = 1602.1766
#: Most sublattices of a cell whose common shape is asked for.
_MOST_KINDS = 6
#: Columns are found from about so many standard errors of the height of the brightest ones on.
_SEEN = 2.5


class DisplacementParams(Params):
    """What is displaced, against what."""

    displaced: lattice.Sublattice = "B"
    """Sublattice whose displacement is measured."""
    framework: lattice.Sublattice = "A"
    """Sublattice that is the reference."""
    reference: Literal["neighbours", "line", "lattice"] = "neighbours"
    """Measured from the centre of the surrounding framework columns, from the straight lines through their planes, or
    from their mean lattice. All three are computed; their largest difference is stored as `disagreement`."""
    remove: Literal["none", "mean", "tilt"] = "none"
    """Subtract what a mistilt of the specimen adds to all displacements: nothing, their mean, or a plane fitted to
    them. A uniform polarisation is removed with it."""
    born_charge: Annotated[float, Field(gt=-20, lt=20)] | None = None
    """Born effective charge in units of e: also stores the polarisation, which is NaN without a pixel size."""
    depth: LengthAngstrom | None = None
    """Third edge of the cell, along the beam, for the polarisation; absent: the square root of the area of the cell."""

    @model_validator(mode="after")
    def _differ(self) -> DisplacementParams:
        if self.displaced == self.framework:
            raise ValueError(f"displaced and framework must be two sublattices, got {self.displaced} for both")
        return self


_CELL, _COLUMN = ("frame", "cell"), ("frame", "column")
_SIGNIFICANT = {
    -1: "unknown",
    0: "within its error",
    1: "beyond the 95 percent ellipse of its error with u_sys and v_sys",
}
Y = Variable("displacement/y", _CELL, "float64", "nm", "reference position along y", coordinate=True)
X = Variable("displacement/x", _CELL, "float64", "nm", "reference position along x", coordinate=True)
I = Variable("displacement/i", _CELL, "int32", "1", "index of the cell along a, to the right", coordinate=True)  # noqa: E741
J = Variable("displacement/j", _CELL, "int32", "1", "index of the cell along b, downwards", coordinate=True)
COLUMN = Variable(
    "displacement/column", _CELL, "int32", "1", "number of the displaced column in the frame, -1: none in any cell"
)
U = Variable("displacement/u", _CELL, "float64", "pm", "displacement along +x", error="displacement/u_err")
V = Variable("displacement/v", _CELL, "float64", "pm", "displacement along +y, downwards", error="displacement/v_err")
U_ERR = Variable("displacement/u_err", _CELL, "float64", "pm", "standard error of the displacement along x")
V_ERR = Variable("displacement/v_err", _CELL, "float64", "pm", "standard error of the displacement along y")
MAGNITUDE = Variable("displacement/magnitude", _CELL, "float64", "pm", "length of the displacement")
ANGLE = Variable("displacement/angle", _CELL, "float64", "degree", "direction, counter-clockwise from +x as displayed")
SIGNIFICANT = Variable(
    "displacement/significant", _CELL, "int8", "1", "whether it is more than its error", flags=_SIGNIFICANT
)
DISAGREEMENT = Variable(
    "displacement/disagreement", _CELL, "float64", "pm", "largest difference between the three references"
)
NOISE_FLOOR = Variable(
    "displacement/noise_floor", ("frame",), "float64", "pm", "scatter of one component from cell to cell", trend=True
)
JITTER_X = Variable(
    "displacement/jitter_x", ("frame",), "float64", "pm", "RMS shift along x of A columns, by the rows of the scan"
)
JITTER_Y = Variable(
    "displacement/jitter_y", ("frame",), "float64", "pm", "RMS shift along y of A columns, by the rows of the scan"
)
COLUMN_JITTER_X = Variable("columns/jitter_x", _COLUMN, "float32", "pm", "RMS shift along x by the rows of the scan")
COLUMN_JITTER_Y = Variable("columns/jitter_y", _COLUMN, "float32", "pm", "RMS shift along y by the rows of the scan")
EXCESS_X = Variable(
    "displacement/excess_x", ("frame",), "float64", "1", "scatter along x of neighbouring cells over that of the fits"
)
EXCESS_Y = Variable(
    "displacement/excess_y", ("frame",), "float64", "1", "scatter along y of neighbouring cells over that of the fits"
)
U_SYS = Variable(
    "displacement/u_sys", ("frame",), "float64", "pm", "systematic error along x that all displacements share"
)
V_SYS = Variable(
    "displacement/v_sys", ("frame",), "float64", "pm", "systematic error along y that all displacements share"
)
POLARISATION_U = Variable("displacement/polarisation_u", _CELL, "float64", "uC/cm^2", "polarisation along +x, by model")
POLARISATION_V = Variable(
    "displacement/polarisation_v", _CELL, "float64", "uC/cm^2", "polarisation along +y, downwards, by model"
)


def outputs(params: DisplacementParams) -> tuple[Variable, ...]:
    """Declare the displacements."""
    polarisation = (POLARISATION_U, POLARISATION_V) if params.born_charge is not None else ()
    vectors = (Y, X, I, J, COLUMN, U, V, U_ERR, V_ERR, MAGNITUDE, ANGLE, SIGNIFICANT, DISAGREEMENT, NOISE_FLOOR)
    of_scan = (JITTER_X, JITTER_Y, COLUMN_JITTER_X, COLUMN_JITTER_Y)
    return (*vectors, *of_scan, EXCESS_X, EXCESS_Y, U_SYS, V_SYS, *polarisation)


def run(frame: ImageFrame, params: DisplacementParams) -> Mapping[str, Array]:
    """Measure the displacement of every column that has its neighbours.

    Where no column is displaced, as in a metal, the cells are those of the A columns, and all they have is a place.
    """
    positions = _PM * positions_of(frame)
    covariance = columns.covariance_of(frame).transformed(_PM * np.eye(2))
    sublattice, grain = frame[lattice.SUBLATTICE], frame[lattice.GRAIN]
    i, j = frame[lattice.I], frame[lattice.J]
    letters = (lattice.LETTERS.index(letter) for letter in (params.framework, params.displaced))
    scan, left_over = line_noise(frame, *letters), known_median(frame[columns.REDUCED_CHI2])
    parts, others, scatter = [Displacements.none(len(i))], [], []
    for number in np.unique(grain[grain >= 0]):
        of = np.flatnonzero(grain == number)
        measured = {
            reference: _removed(
                displacements(
                    positions[of],
                    covariance.subset(of),
                    sublattice[of],
                    i[of],
                    j[of],
                    displaced=lattice.LETTERS.index(params.displaced),
                    framework=lattice.LETTERS.index(params.framework),
                    reference=reference,
                ),
                params.remove,
            )
            for reference in REFERENCES
        }
        if structure.SITE in frame and params.remove == "none":
            corner = of[sublattice[of] == lattice.LETTERS.index(params.framework)]
            mean = fit_lattice(positions[corner], i[corner], j[corner])
            site = _site_of_structure(frame, params)
            measured = {name: _against(found, mean, site, i[of], j[of]) for name, found in measured.items()}
        chosen = measured[params.reference]
        errors = with_scatter(
            chosen, covariance.subset(of), scan.of(of), i[of][chosen.column], j[of][chosen.column], left_over
        )
        parts.append(errors.displacements.of_columns(of, len(i)))
        scatter.append(errors)
        others.append(np.stack([entry.vector for entry in measured.values()]))
    found, shared = Displacements.joined(parts), _systematic(frame, params)
    if not len(found.column):
        return _nothing_displaced(frame, params, scan)
    freedom = np.concatenate([np.empty((0, 2)), *(one.freedom for one in scatter)])
    significant = found.significant(shared if params.remove == "none" else None, freedom)
    if rotation.ANGLE in frame:
        turn = rotation.Turn.by(*(float(frame[variable]) for variable in rotation.TURN))
        found, shared = found.turned(turn.matrix, _PM * turn.middle), turn.spread(shared[::-1])[::-1]
    largest = max(scatter, key=lambda one: len(one.displacements.column))
    vectors = np.concatenate(others, axis=1)
    differences = vectors[:, None] - vectors
    values: dict[str, Array] = {
        Y.path: found.centre[:, 0] / _PM,
        X.path: found.centre[:, 1] / _PM,
        I.path: i[found.column],
        J.path: j[found.column],
        COLUMN.path: found.column.astype(np.int32),
        U.path: found.vector[:, 0],
        V.path: found.vector[:, 1],
        U_ERR.path: found.error[:, 0],
        V_ERR.path: found.error[:, 1],
        MAGNITUDE.path: found.magnitude,
        ANGLE.path: found.angle,
        SIGNIFICANT.path: significant,
        DISAGREEMENT.path: np.hypot(differences[..., 0], differences[..., 1]).max(axis=(0, 1)),
        NOISE_FLOOR.path: np.asarray(noise_floor(found.vector, i[found.column], j[found.column])),
    }
    pairs = (
        ((JITTER_X, JITTER_Y), largest.jitter),
        ((COLUMN_JITTER_X, COLUMN_JITTER_Y), scan._replace(variance=largest.jitter**2).by_column().T),
        ((EXCESS_X, EXCESS_Y), largest.excess),
        ((U_SYS, V_SYS), shared),
    )
    for pair, known in pairs:
        values |= {variable.path: np.asarray(value) for variable, value in zip(pair, known, strict=True)}
    if params.born_charge is not None:
        area = abs(frame[lattice.A_X] * frame[lattice.B_Y] - frame[lattice.A_Y] * frame[lattice.B_X])
        depth = 0.1 * params.depth.angstrom() if params.depth is not None else np.sqrt(area)
        # pm, and nm³: electron charges on a square angstrom are Z d / V with d in angstrom, V in cubic angstrom.
        scale = _CHARGE * params.born_charge * 0.01 / (1e3 * area * depth) if frame.calibrated else np.nan
        values[POLARISATION_U.path] = found.vector[:, 0] * scale
        values[POLARISATION_V.path] = found.vector[:, 1] * scale
    return values


def _nothing_displaced(frame: ImageFrame, params: DisplacementParams, scan: LineNoise) -> dict[str, Array]:
    """Return the cells of the A columns alone, of which nothing but the place is known."""
    known = framework_cells(frame)
    centre = positions_of(frame)[known.corners].mean(axis=1)
    if rotation.ANGLE in frame:
        centre = rotation.Turn.by(*(float(frame[variable]) for variable in rotation.TURN)).onto(centre)
    none = np.full(len(centre), -1)
    values = {v.path: np.full(len(centre) if v.dims == _CELL else (), np.nan) for v in outputs(params)}
    values |= {Y.path: centre[:, 0], X.path: centre[:, 1], I.path: known.cells[:, 0], J.path: known.cells[:, 1]}
    values |= {COLUMN.path: none, SIGNIFICANT.path: none}
    jitter, by_column = np.sqrt(scan.variance), scan.by_column()
    values |= {JITTER_X.path: jitter[0], JITTER_Y.path: jitter[1]}
    return values | {COLUMN_JITTER_X.path: by_column[:, 0], COLUMN_JITTER_Y.path: by_column[:, 1]}


def _site_of_structure(frame: ImageFrame, params: DisplacementParams) -> Array:
    """Return where the structure has a displaced column, from one of the framework, in units of a and b."""
    displaced, framework = (lattice.LETTERS.index(letter) for letter in (params.displaced, params.framework))
    return np.asarray(frame[structure.SITE][displaced] - frame[structure.SITE][framework])


def _against(found: Displacements, mean: Lattice, site: Array, i: Array, j: Array) -> Displacements:
    """Return displacements against a site of the structure, which need not be one of high symmetry.

    The centre of a cell lies by the same vector from the site everywhere; the nearest such site is meant.
    """
    if not len(found.column) or not np.isfinite(site).all():
        return found
    basis = np.stack([mean.a, mean.b])
    centre = found.centre - mean.at(i[found.column], j[found.column])
    off = site - nominal_site(np.median(centre, axis=0) @ np.linalg.inv(basis), mean.a, mean.b)
    step = (off - np.round(off)) @ basis
    return replace(found.without(step[::-1]), centre=found.centre + step)


def _systematic(frame: ImageFrame, params: DisplacementParams) -> Array:
    """Return how far the mean displacement (u, v), pm, hangs on what shape columns are taken to have.

    From the mean cell of the largest grain; NaN where it isn't whole, or columns weren't fitted.
    """
    sublattice, grain = frame[lattice.SUBLATTICE], frame[lattice.GRAIN]
    displaced, framework = (lattice.LETTERS.index(letter) for letter in (params.displaced, params.framework))
    kinds = np.unique(sublattice[(sublattice >= 0) & (grain == 0)])
    width = frame[columns.SIGMA_MINOR]
    unknown = np.full(2, np.nan)
    if not {displaced, framework} <= set(kinds) or len(kinds) > _MOST_KINDS or not np.isfinite(width).any():
        return unknown
    pixels, _, grid = pixels_of(frame)
    scale = np.asarray(frame.pixel_size)
    positions = grid.from_source((np.column_stack([frame[columns.Y], frame[columns.X]]) - frame.offset) / scale)
    i, j = frame[lattice.I], frame[lattice.J]
    corner = (sublattice == framework) & (grain == 0) & np.isfinite(positions).all(axis=1)
    mean = fit_lattice(positions[corner], i[corner], j[corner])
    if not np.isfinite(mean.a).all() or not np.isfinite(mean.b).all():
        return unknown
    corners, *_ = to_grid(positions[corner], i[corner], j[corner], 1)
    samples = (int(np.ceil(np.hypot(*mean.a))), int(np.ceil(np.hypot(*mean.b))))
    cell, _ = mean_cell(np.asarray(pixels, np.float32), corners, samples)
    if not np.isfinite(cell).all():
        return unknown
    places, heights = np.empty((len(kinds), 2)), np.empty(len(kinds))
    for k, kind in enumerate(kinds):
        of = (sublattice == kind) & (grain == 0) & np.isfinite(positions).all(axis=1)
        places[k] = np.median(positions[of] - mean.at(i[of], j[of]), axis=0)
        heights[k] = known_median(frame[columns.AMPLITUDE][of])
    pixel = abs(float(np.linalg.det(grid.matrix))) ** 0.5 * float(np.prod(scale)) ** 0.5
    if not np.all(heights > 0.0):
        return unknown
    moves = moves_by_shape(cell, mean.a, mean.b, places, heights, known_median(width) / pixel)
    between = moves[:, kinds == displaced][:, 0] - moves[:, kinds == framework][:, 0]
    shifts = between[np.isfinite(between).all(axis=1)] @ grid.matrix.T * scale * _PM
    return np.abs(shifts).max(axis=0)[::-1] if len(shifts) > 1 else unknown


def finish(stack: Stack, params: DisplacementParams) -> None:
    """Say what is displaced against what, or why nothing is."""
    counts, heights, error = _heights(stack)
    found = [letter for letter, count in zip(lattice.LETTERS, counts, strict=True) if count]
    names = structure.names(stack) if stack.has(structure.COLUMN.path) else lattice.LETTERS
    displaced, framework = (names[lattice.LETTERS.index(letter)] for letter in (params.displaced, params.framework))
    pair = f"{displaced} against {framework}"
    if {params.displaced, params.framework} <= set(found):
        ratio = heights[lattice.LETTERS.index(params.displaced)] / heights[lattice.LETTERS.index(params.framework)]
        named = f"{pair}: columns of {params.displaced} are {ratio:.2f} times as high as those of {params.framework}"
        said = named if np.isfinite(ratio) else pair
        if names is not lattice.LETTERS and params.remove == "none":
            said += "; displacements are from the place in the structure"
        stack.set_attributes(U.group, {"comment": said})
    elif len(found) > 1:
        words = f"no displacement of {pair}: the sublattices found are {', '.join(found)}; choose two of these"
        stack.set_attributes(U.group, {"warning": f"{words}: displacement: {{displaced: ..., framework: ...}}"})
    elif found:
        words = f"no displacement of {pair}: all columns are alike, each a point of one lattice"
        words += " (as in a metal, or in rock salt, whose ions share columns), so that there is no second sublattice"
        if np.isfinite(error):
            least = 100.0 * _SEEN * error / heights[0]
            words += f"; columns less than about {least:.2g} % as high would not be visible in this noise"
        stack.set_attributes(U.group, {"warning": words})


def _heights(stack: Stack) -> tuple[Array, Array, float]:
    """Return the number of columns of each sublattice (16,), their typical height (16,), and the error of that of A."""
    counts, heights, errors = np.zeros(len(lattice.LETTERS), np.int64), [], []
    for block in stack.blocks:
        number = stack.read(lattice.SUBLATTICE.path, block)
        amplitude, error = (stack.read(height.path, block) for height in (columns.AMPLITUDE, columns.AMPLITUDE_ERR))
        counts += np.array([np.count_nonzero(number == k) for k in range(len(lattice.LETTERS))])
        heights.append([known_median(amplitude[number == k]) for k in range(len(lattice.LETTERS))])
        errors.append(known_median(error[number == 0]))
    return counts, np.array([known_median(of) for of in np.array(heights).T]), known_median(np.array(errors))


def _removed(found: Displacements, remove: str) -> Displacements:
    """Subtract what a mistilt adds."""
    if remove == "none" or len(found.column) < 3:
        return found
    terms = np.ones((len(found.column), 1))
    if remove == "tilt":
        terms = np.column_stack([terms, found.centre - found.centre.mean(axis=0)])
    return found.without(terms @ np.linalg.lstsq(terms, found.vector, rcond=None)[0])


ANALYSIS = Analysis(
    name="displacement",
    kind="images",
    summary="Displacement of B against its A columns, with errors",
    params=DisplacementParams,
    outputs=outputs,
    shows="stemdask.figures.images.displacement",
    needs=("columns", "lattice"),
    after=("preprocess", "scan_distortion"),
    run=run,
    finish=finish,
)
