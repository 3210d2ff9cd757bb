"""Columns: where they are, to a fraction of a pixel, with errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from stemdask.analyses.given_file import ReadFile
from stemdask.analyses.images.columns import edits, gate
from stemdask.analyses.images.stack import registration, sites
from stemdask.analyses.images.stack.pixels import pixels_of
from stemdask.analyses.images.stack.preprocess import INVERTED
from stemdask.analyses.images.stack.series import expected_columns, spread
from stemdask.errors import FrameError, InputError
from stemdask.kernels.images.finding.columns import MAX_SUBLATTICES, Columns, find_columns
from stemdask.kernels.images.finding.quality import assess
from stemdask.kernels.images.finding.separation import NoLatticeError, TooFewCellsError
from stemdask.kernels.images.finding.tails import judge_faint
from stemdask.kernels.images.fitting.centre_of_mass import centre_of_mass
from stemdask.kernels.images.fitting.column_fit import FLAG_MEANINGS, ColumnFit
from stemdask.kernels.images.fitting.column_model import ColumnModel, KnownShape
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.fitting.noise import Noise
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance
from stemdask.kernels.images.fitting.single_fit import fit_single
from stemdask.kernels.images.stacks.pixel_grid import PixelGrid
from stemdask.model import Analysis, Array, ImageFrame, Params, Variable
from stemdask.units import ComponentPx, LengthPx

#: A separation given as one length stands for this range around it.
_SLACK = 0.2
#: Widths between unlike columns from which on one can be measured by itself: at 5.2 a fit is lost for two B columns of
#: five, and a centre of mass overstates their displacement by 14 %; at 4.2 by 59 %.
_APART = 6.0
_FITTED = (
    "positions",
    "errors",
    "amplitude",
    "amplitude_err",
    "sigma_major",
    "sigma_minor",
    "rotation",
    "background",
    "reduced_chi2",
    "flag",
)


def _range(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _ascending(value: Any) -> Any:
    if isinstance(value, tuple) and value[0].unit == value[1].unit and value[0].value >= value[1].value:
        raise ValueError(f"a range is [smallest, largest], got [{value[0]}, {value[1]}]")
    return value


class ColumnsParams(Params):
    """How columns are found and measured."""

    separation: Annotated[
        Literal["auto"] | LengthPx | tuple[LengthPx, LengthPx], BeforeValidator(_range), AfterValidator(_ascending)
    ] = "auto"
    """Shortest lattice vector (between columns of the same kind): found from the image; or a length, accurate to 20 %;
    or a range [smallest, largest]; px or nm. In a series it applies to the average of all frames."""
    vectors: tuple[tuple[ComponentPx, ComponentPx], tuple[ComponentPx, ComponentPx]] | None = None
    """Lattice vectors of the whole cell, [[x, y], [x, y]] with y downwards; px or nm, accurate to about 10 %. Absent:
    found from the image."""
    sublattices: Annotated[int, Field(ge=1, le=MAX_SUBLATTICES)] | None = None
    """Largest number of columns per cell, of which the brightest are kept: 1 if all columns are alike. Absent: all that
    the image shows."""
    engine: Literal["native", "atomap"] = "native"
    """Measure the positions with stemdask, or with atomap as a reference (50 to 1,000 times slower)."""
    refinement: Literal["centre_of_mass", "gaussian", "joint"] = "joint"
    """Native engine: centres of mass (no errors), one column at a time, or all columns with their overlap. The first
    two are refused where columns of several sublattices overlap."""
    shape: Literal["auto", "gaussian", "empirical"] = "auto"
    """Joint fit: Gaussians, or Gaussians with the kurtosis, the coma and the halo that all columns of the image share;
    `auto` decides from the image, and uses Gaussians if contamination between the columns can't be distinguished from
    their tails."""
    widths: Literal["shared", "map", "free"] = "shared"
    """Joint fit: one ellipse, scaled by one factor for each further sublattice (not scaled if the factor would lie
    outside 0.67 to 1.4), one that varies smoothly over the image, or one for each column."""
    background: Literal["constant", "spline"] = "spline"
    """Joint fit: a constant background, or a smooth field, which varies from cell to cell where there is
    contamination."""
    noise: Literal["auto", "poisson", "gaussian"] = "auto"
    """How the noise depends on the brightness: estimated from the image, counting statistics, or constant."""
    edits: ReadFile | None = None
    """CSV file of columns corrected by hand before the fit: frame, action (add, remove or move), y, x and, to move,
    new_y, new_x, in pixels of the file. A row without a frame applies to every frame; in a series every row does. An
    added or moved column is fitted from that position; a row that matches no column makes the frame fail."""


_COLUMN = ("frame", "column")
_FLAGS = {-1: "none"} | dict(enumerate(FLAG_MEANINGS))
Y = Variable("columns/y", _COLUMN, "float64", "nm", "position along y", error="columns/y_err", coordinate=True)
X = Variable("columns/x", _COLUMN, "float64", "nm", "position along x", error="columns/x_err", coordinate=True)
Y_ERR = Variable(
    "columns/y_err", _COLUMN, "float32", "nm", "standard error of the position along y, by the noise of the pixels"
)
X_ERR = Variable(
    "columns/x_err", _COLUMN, "float32", "nm", "standard error of the position along x, by the noise of the pixels"
)
AMPLITUDE = Variable(
    "columns/amplitude",
    _COLUMN,
    "float32",
    "1",
    "height of the fitted Gaussian over the background",
    error="columns/amplitude_err",
)
AMPLITUDE_ERR = Variable("columns/amplitude_err", _COLUMN, "float32", "1", "standard error of that height")
SIGMA_MAJOR = Variable("columns/sigma_major", _COLUMN, "float32", "nm", "larger standard deviation of the Gaussian")
SIGMA_MINOR = Variable("columns/sigma_minor", _COLUMN, "float32", "nm", "smaller standard deviation of the Gaussian")
ROTATION = Variable(
    "columns/rotation", _COLUMN, "float32", "degree", "major axis, counter-clockwise from +x as displayed"
)
BACKGROUND = Variable("columns/background", _COLUMN, "float32", "1", "background under the column")
REDUCED_CHI2 = Variable(
    "columns/reduced_chi2", _COLUMN, "float32", "1", "reduced chi-squared of the fit around the column"
)
FLAG = Variable(
    "columns/flag",
    _COLUMN,
    "int8",
    "1",
    "how the fit ended; weak: well, of a column less than half as bright as its like around it",
    flags=_FLAGS,
)

#: How all columns of a frame differ from Gaussians; see :mod:`stemdask.kernels.images.fitting.aberrations`.
KURTOSIS = Variable("columns/kurtosis", ("frame",), "float64", "1", "kurtosis that all columns share; Gaussian: 0")
COMA_Y = Variable("columns/coma_y", ("frame",), "float64", "1", "coma along y that all columns share; Gaussian: 0")
COMA_X = Variable("columns/coma_x", ("frame",), "float64", "1", "coma along x that all columns share; Gaussian: 0")
HALO = Variable(
    "columns/halo",
    ("frame",),
    "float64",
    "1",
    "part of the counts of all columns that lies in their halo, 2.2 × as wide",
)
_ASYMMETRY = "from the middle of the Gaussian to where the column is brightest, along"
ASYMMETRY_Y = Variable("columns/asymmetry_y", ("frame",), "float64", "nm", f"{_ASYMMETRY} y; the same for all columns")
ASYMMETRY_X = Variable("columns/asymmetry_x", ("frame",), "float64", "nm", f"{_ASYMMETRY} x; the same for all columns")
SHAPE = (KURTOSIS, COMA_Y, COMA_X)
ASYMMETRY = (ASYMMETRY_Y, ASYMMETRY_X)
NOISE_GAIN = Variable(
    "columns/noise_gain", ("frame",), "float64", "1", "variance of a pixel per brightness; noise is even: 0"
)
NOISE_READOUT = Variable("columns/noise_readout", ("frame",), "float64", "1", "variance of a pixel at brightness 0")
NOISE_CORRELATION = Variable(
    "columns/noise_correlation",
    ("frame",),
    "float64",
    "1",
    "power of the noise at the columns over that of white noise",
)
NOISE = (NOISE_GAIN, NOISE_READOUT, NOISE_CORRELATION)
#: By what the model of a column is drawn, besides its place and what all share.
DRAWN = (AMPLITUDE, SIGMA_MAJOR, SIGMA_MINOR, ROTATION, BACKGROUND)

#: What limits the columns of a frame: contamination between them, and others that are too faint.
BACKGROUND_KIND = Variable(
    "columns/background_kind",
    ("frame",),
    "int8",
    "1",
    "how the background varies; from cell to cell: over contamination, with Gaussian columns",
    flags={-1: "unknown", 0: "smoothly", 1: "from cell to cell", 2: "constant against the image"},
)
TOO_FAINT = Variable(
    "columns/too_faint",
    ("frame",),
    "float32",
    "1",
    "height, in units of the brightest, of a sublattice that shows in the mean of all cells alone; 0: none",
)

#: What finding already knows of the columns, for the analysis `lattice`.
FOUND_SUBLATTICE = Variable("columns/found_sublattice", _COLUMN, "int8", "1", "sublattice", stored=False)
FOUND_I = Variable("columns/found_i", _COLUMN, "int32", "1", "cell along a", stored=False)
FOUND_J = Variable("columns/found_j", _COLUMN, "int32", "1", "cell along b", stored=False)
FOUND_GRAIN = Variable("columns/found_grain", _COLUMN, "int8", "1", "grain", stored=False)
#: Covariance of the positions, (y, x): of each column, and of those pairs of columns that share information.
COVARIANCE = Variable(
    "columns/covariance",
    (*_COLUMN, "axis", "other_axis"),
    "float64",
    "nm^2",
    "covariance of the position",
    stored=False,
)
PAIRS = Variable("columns/pairs", ("frame", "pair", "which"), "int64", "1", "columns that overlap", stored=False)
PAIR_COVARIANCE = Variable(
    "columns/pair_covariance",
    ("frame", "pair", "axis", "other_axis"),
    "float64",
    "nm^2",
    "covariance of the positions of two columns",
    stored=False,
)
CONFIDENCE = Variable("columns/confidence", ("frame",), "float64", "1", "confidence in the lattice", stored=False)


def outputs(params: ColumnsParams, known: Mapping[str, Variable]) -> tuple[Variable, ...]:
    """Declare the columns, the sites of a series, and what is handed on of their lattice and common errors."""
    of_series = sites.SITES if registration.AREA_IMAGE.path in known else ()
    of_hand = (*edits.EDITS, edits.N_EDITS) if params.edits is not None else ()
    measured = (Y, X, Y_ERR, X_ERR, AMPLITUDE, AMPLITUDE_ERR, SIGMA_MAJOR, SIGMA_MINOR, ROTATION, BACKGROUND)
    found = (FOUND_SUBLATTICE, FOUND_I, FOUND_J, FOUND_GRAIN, CONFIDENCE)
    told = (
        REDUCED_CHI2,
        FLAG,
        *SHAPE,
        HALO,
        *ASYMMETRY,
        *NOISE,
        BACKGROUND_KIND,
        TOO_FAINT,
        gate.QUALITY,
        gate.REASONS,
    )
    return (*of_series, *of_hand, *measured, *told, *found, COVARIANCE, PAIRS, PAIR_COVARIANCE)


def prepare(frames: Sequence[ImageFrame], params: ColumnsParams) -> Mapping[str, Array]:
    """Read corrections by hand; find the columns of a series, once, on the average of its frames."""
    given = edits.read(params.edits, len(frames)) if params.edits is not None else {}
    if registration.AREA_IMAGE not in sites.any_of(frames):
        return given
    as_it_is = PixelGrid(np.eye(2), np.zeros(2))

    def find(average: Array, nm: float, first: Array, most: int | None) -> Columns:
        found = _find(average, _at_most(params, most), nm, as_it_is)
        if not given:
            return found
        try:
            return edits.of_series(frames, given, first).applied(found, (average.shape[0], average.shape[1]))
        except FrameError as error:  # not of this frame: of all
            raise InputError(error.what, where=error.where, value=error.value, remedy=error.remedy) from None

    return given | sites.find_sites(frames, find, params.sublattices)


def run(frame: ImageFrame, params: ColumnsParams) -> Mapping[str, Array]:
    """Find and measure the columns of a frame; those of a series are known, and column k is the same in every frame.

    Columns that couldn't be measured belong to no sublattice, which leaves them out of all that follows.

    Raises
    ------
    FrameError
        No lattice is to be seen in the frame, or what was found aren't columns, or not the area of the series.
    """
    pixels, for_finding, grid = pixels_of(frame)
    finer = abs(float(np.linalg.det(grid.matrix))) ** 0.5
    nm = float(np.sqrt(frame.pixel_size[0] * frame.pixel_size[1])) * finer
    series = expected_columns(frame, pixels, grid)
    corrected: dict[str, Array] = {}
    by_hand = None if params.edits is None else edits.of_frame(frame, grid)
    if by_hand is not None:
        n_edits = len(by_hand.words if series is None else frame[edits.ACTION])
        corrected = {edits.N_EDITS.path: np.asarray(n_edits)}

    def find(most: int | None) -> Columns:
        found = _find(for_finding, _at_most(params, most), nm, grid)
        return found if by_hand is None else by_hand.applied(found, (pixels.shape[0], pixels.shape[1]))

    found = find(params.sublattices) if series is None else series.columns
    _refuse_overlap(found, params)
    fit = measure(pixels, found, params, None if series is None else series.shape)
    faint = None if params.sublattices is not None else judge_faint(pixels, found, fit)
    if series is None and faint is not None and faint.are_tails:
        found = find(int(faint.kinds.min()))
        fit, faint = measure(pixels, found, params), None
    quality = assess(found, fit, pixels, dark=bool(frame.get(INVERTED, np.asarray(False))))
    if series is None and len(quality.usable):
        gate.refuse(quality)
    keep = found.interior
    of = {name: getattr(fit, name)[: len(keep)][keep] for name in _FITTED}
    scale = np.asarray(frame.pixel_size)
    positions = grid.to_source(of["positions"]) * scale + frame.offset
    errors = np.sqrt(of["errors"] ** 2 @ (grid.matrix.T**2)) * scale
    turned = float(np.degrees(np.arctan2(grid.matrix[0, 1], grid.matrix[1, 1])))
    i, j = found.i[keep], found.j[keep]
    if series is None and len(i):
        i, j = i - i.min(), j - j.min()
    values = {
        Y.path: positions[:, 0],
        X.path: positions[:, 1],
        Y_ERR.path: errors[:, 0],
        X_ERR.path: errors[:, 1],
        AMPLITUDE.path: of["amplitude"],
        AMPLITUDE_ERR.path: of["amplitude_err"],
        SIGMA_MAJOR.path: of["sigma_major"] * nm,
        SIGMA_MINOR.path: of["sigma_minor"] * nm,
        ROTATION.path: (np.degrees(of["rotation"]) - turned + 90.0) % 180.0 - 90.0,
        BACKGROUND.path: of["background"],
        REDUCED_CHI2.path: of["reduced_chi2"],
        FLAG.path: of["flag"],
        FOUND_SUBLATTICE.path: np.where(quality.usable, found.sublattice[keep], np.int8(-1)),
        FOUND_I.path: i,
        FOUND_J.path: j,
        FOUND_GRAIN.path: found.grain[keep],
    }
    number, n = np.arange(len(i)), len(i)
    if series is not None:
        number, n = series.site[keep], series.n_sites
        values = {path: spread(array, number, n) for path, array in values.items()}
    becomes = np.full(len(fit), -1)  # columns beyond the border are left out
    becomes[np.flatnonzero(keep)] = number
    coma = grid.matrix @ fit.shape_terms[1:] / finer
    asymmetry = grid.matrix @ fit.asymmetry * scale
    covariance = fit.covariance.renumbered(becomes, n).transformed(np.diag(scale) @ grid.matrix)
    a, b = (float(np.hypot(*(vector @ grid.matrix.T * scale))) for vector in (found.vectors.a, found.vectors.b))
    return (
        values
        | corrected
        | dict(gate.measured(quality, a, b, frame, tails=faint is not None and faint.may_be_tails))
        | {
            KURTOSIS.path: fit.shape_terms[0],
            COMA_Y.path: coma[0],
            COMA_X.path: coma[1],
            HALO.path: fit.halo,
            ASYMMETRY_Y.path: asymmetry[0],
            ASYMMETRY_X.path: asymmetry[1],
            NOISE_GAIN.path: fit.noise.gain,
            NOISE_READOUT.path: fit.noise.readout,
            NOISE_CORRELATION.path: fit.noise.correlation,
            BACKGROUND_KIND.path: np.asarray(fit.uneven * (2 if params.background == "constant" else 1), np.int8),
            TOO_FAINT.path: np.asarray(found.too_faint.max(initial=0.0)),
            CONFIDENCE.path: np.asarray(found.vectors.confidence),
            COVARIANCE.path: covariance.own,
            PAIRS.path: covariance.pairs,
            PAIR_COVARIANCE.path: covariance.between,
        }
    )


def covariance_of(frame: ImageFrame) -> PositionCovariance:
    """Return the covariance of the positions of the columns of a frame, nm²."""
    return PositionCovariance(frame[COVARIANCE], frame[PAIRS], frame[PAIR_COVARIANCE])


def _at_most(params: ColumnsParams, sublattices: int | None) -> ColumnsParams:
    return params.model_copy(update={"sublattices": sublattices})


def _find(pixels: Array, params: ColumnsParams, nm: float, grid: PixelGrid) -> Columns:
    vectors = None
    if params.vectors is not None:
        finer = abs(float(np.linalg.det(grid.matrix))) ** 0.5
        onto = np.linalg.inv(grid.matrix)
        a, b = (onto @ np.array([y.px(nm / finer), x.px(nm / finer)]) for x, y in params.vectors)
        vectors = a, b
    try:
        return find_columns(pixels, _separation(params, nm), vectors=vectors, sublattices=params.sublattices)
    except NoLatticeError as error:
        remedy = (
            "Look at the frame; if columns are there, crop it to them (preprocess: {crop: [top, left, bottom, right]}) "
            "or give their distance (separation: '12 px')"
        )
        if isinstance(error, TooFewCellsError):
            remedy = "Use an image that shows about four cells or more along each side"
        elif vectors is not None:
            remedy = "Look at the frame, and whether columns repeat with these vectors: [x, y] each, y downwards"
        raise FrameError(str(error), where="columns", remedy=remedy) from None


def _refuse_overlap(found: Columns, params: ColumnsParams) -> None:
    """Refuse to measure columns one by one where the tails of unlike neighbours pull each of them."""
    apart = found.distance / float(np.median(found.widths))
    if params.engine == "atomap" or params.refinement == "joint" or apart >= _APART or not found.sublattice.any():
        return
    raise FrameError(
        f"columns of several sublattices overlap: refinement {params.refinement!r} measures one at a time "
        "and pulls each towards its neighbours",
        where="columns",
        value=f"{apart:.1f} widths apart",
        allowed=f"{_APART:g} widths or more",
        remedy="Use refinement: joint, which fits all columns together",
    )


def measure(pixels: Array, found: Columns, params: ColumnsParams, shape: KnownShape | None = None) -> ColumnFit:
    """Measure columns that were found; lengths in px.

    Parameters
    ----------
    pixels
        (ny, nx); NaN where a pixel is missing.
    found
        What :func:`~stemdask.kernels.images.finding.columns.find_columns` returned.
    params
        Engine and its choices.
    shape
        The columns' shape where a series tells it: the same in every frame.

    Returns
    -------
    ColumnFit
        The columns in the order of `found`; behind them, the ghosts of a joint fit.
    """
    if params.engine == "atomap":
        from stemdask.adapters import atomap

        return atomap.measure(pixels, found.positions, found.sublattice)
    if params.refinement == "centre_of_mass":
        return _unfitted(centre_of_mass(pixels, found.positions, 0.5 * found.distance), found.sublattice)
    if params.refinement == "gaussian":
        sigma = float(np.median(found.widths))
        fit = fit_single(pixels, found.positions, sigma, 0.5 * found.distance, noise=params.noise)
        return replace(fit, sublattice=found.sublattice)
    return fit_joint(
        pixels,
        np.concatenate([found.positions, found.ghosts]),
        # In every grain the sublattices have widths of their own; a column of none is as wide as those of A.
        np.maximum(np.concatenate([found.sublattice, found.ghost_sublattice]), 0)
        + MAX_SUBLATTICES * np.concatenate([found.grain, found.ghost_grain]),
        np.repeat(found.widths, MAX_SUBLATTICES),
        noise=params.noise,
        model=ColumnModel(
            shape if shape and params.shape == "auto" else params.shape, params.widths, params.background
        ),
        held=np.repeat([False, True], [len(found.positions), len(found.ghosts)]),
    )


def _unfitted(positions: Array, sublattice: Array) -> ColumnFit:
    """Positions about which nothing else is known."""
    n = len(positions)
    unknown = np.full(n, np.nan)
    return ColumnFit(
        positions=positions,
        errors=np.full((n, 2), np.nan),
        amplitude=unknown,
        amplitude_err=unknown,
        sigma_major=unknown,
        sigma_minor=unknown,
        rotation=unknown,
        background=unknown,
        reduced_chi2=unknown,
        flag=np.zeros(n, np.int8),
        noise=Noise(0.0, np.nan),
        iterations=0,
        sublattice=sublattice,
    )


def _separation(params: ColumnsParams, pixel_size: float) -> tuple[float, float] | None:
    """Range of the separation in px."""
    if params.separation == "auto":
        return None
    if isinstance(params.separation, tuple):
        least, greatest = (length.px(pixel_size) for length in params.separation)
        return least, greatest
    length = params.separation.px(pixel_size)
    return (1.0 - _SLACK) * length, (1.0 + _SLACK) * length


ANALYSIS = Analysis(
    name="columns",
    kind="images",
    summary="Positions of the atomic columns, with errors",
    params=ColumnsParams,
    outputs=outputs,
    shows="stemdask.figures.images.columns",
    after=("preprocess", "denoise_images", "registration"),
    prepare=prepare,
    run=run,
    derives=True,
)
