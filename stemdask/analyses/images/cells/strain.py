"""Strain: how each cell is stretched and turned against a reference lattice, and its lattice parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field, model_validator
from scipy import sparse

from stemdask.analyses.images.cells import displacement
from stemdask.analyses.images.cells.framework_cells import framework_cells
from stemdask.analyses.images.cells.line_noise import line_noise
from stemdask.analyses.images.columns import columns, lattice
from stemdask.analyses.images.columns.scan_distortion import positions_of
from stemdask.analyses.images.stack import rotation
from stemdask.kernels.images.crystal.lattice import fit_lattice
from stemdask.kernels.images.crystal.line_noise import LineNoise, covariance_in_groups, variance_of_moves
from stemdask.kernels.images.crystal.octahedral_tilt import octahedral_tilt
from stemdask.kernels.images.crystal.strain import (
    CellVectors,
    by_corners,
    cell_vectors,
    columns_of_cells,
    corners_of,
    lattice_parameters,
    oriented_reference,
    strain_of,
)
from stemdask.kernels.images.fitting.position_covariance import PositionCovariance
from stemdask.model import Analysis, Array, ImageFrame, Params, Variable
from stemdask.units import LengthNm

_A, _B, _OXYGEN = 0, 1, 2
_PM = 1e3


class StrainParams(Params):
    """What strain is measured against."""

    reference_a: LengthNm | None = None
    """Length of a of the reference lattice; absent: the mean lattice of the frame is the reference."""
    reference_b: LengthNm | None = None
    """Length of b of the reference lattice, given together with reference_a."""
    reference_gamma: Annotated[float, Field(gt=20, lt=160)] = 90.0
    """Angle between a and b of a reference given by its lengths, degree; it is rotated to align with the mean
    lattice."""
    octahedral_tilt: bool = False
    """Measure the rotation of octahedra about the beam; needs oxygen columns as a third sublattice."""

    @model_validator(mode="after")
    def _both_lengths(self) -> StrainParams:
        if (self.reference_a is None) != (self.reference_b is None):
            raise ValueError("reference_a and reference_b must be given together")
        return self


_CELL = ("frame", "cell")


class _Measured(NamedTuple):
    """A quantity of a cell and its standard error."""

    value: Variable
    error: Variable


def _measured(name: str, units: str, long_name: str) -> _Measured:
    path, error = f"strain/{name}", f"strain/{name}_err"
    return _Measured(
        Variable(path, _CELL, "float64", units, long_name, error=error),
        Variable(error, _CELL, "float64", units, f"standard error of the {long_name}"),
    )


Y = Variable("strain/y", _CELL, "float64", "nm", "middle of the corners of the cell along y", coordinate=True)
X = Variable("strain/x", _CELL, "float64", "nm", "middle of the corners of the cell along x", coordinate=True)
EXX = _measured("exx", "1", "strain along x")
EYY = _measured("eyy", "1", "strain along y")
EXY = _measured("exy", "1", "shear strain")
ROTATION = _measured("rotation", "degree", "rotation of the lattice, counter-clockwise")
C_OVER_A = _measured("c_over_a", "1", "length of b (downwards) over length of a (to the right)")
LENGTH_A = _measured("a", "nm", "length of the cell along a")
LENGTH_B = _measured("b", "nm", "length of the cell along b")
OCTAHEDRAL_TILT = _measured("octahedral_tilt", "degree", "rotation of the octahedron about the beam, counter-clockwise")
GAMMA = Variable("strain/gamma", _CELL, "float64", "degree", "angle between a and b")
SPACING_A = Variable("strain/spacing_a", _CELL, "float64", "nm", "distance of the planes along a")
SPACING_B = Variable("strain/spacing_b", _CELL, "float64", "nm", "distance of the planes along b")
CURVATURE_A = Variable(
    "strain/curvature_a", _CELL, "float64", "1/nm", "curvature of the planes along a, positive towards +b"
)
CURVATURE_B = Variable(
    "strain/curvature_b", _CELL, "float64", "1/nm", "curvature of the planes along b, positive towards +a"
)


def outputs(params: StrainParams) -> tuple[Variable, ...]:
    """Declare strain, rotation and shape of each cell."""
    tilt = (OCTAHEDRAL_TILT,) if params.octahedral_tilt else ()
    with_error = (EXX, EYY, EXY, ROTATION, C_OVER_A, LENGTH_A, LENGTH_B, *tilt)
    return (
        Y,
        X,
        *(variable for pair in with_error for variable in pair),
        GAMMA,
        SPACING_A,
        SPACING_B,
        CURVATURE_A,
        CURVATURE_B,
    )


def run(frame: ImageFrame, params: StrainParams) -> Mapping[str, Array]:
    """Measure strain, rotation and shape of each cell of a frame.

    The cells are those of the displacement where it is measured; else all that have their four A columns. Each grain is
    measured against its own lattice.
    """
    positions, matrix, excess = positions_of(frame), np.eye(2), _excess(frame)
    if rotation.ANGLE in frame:
        turn = rotation.Turn.by(*(float(frame[variable]) for variable in rotation.TURN))
        positions, matrix = turn.onto(positions), turn.matrix
    measured = _Columns(
        positions,
        _by_noise(frame, params).transformed(matrix * excess),
        _scan(frame),
        matrix,
        frame[lattice.SUBLATTICE],
        frame[lattice.I].astype(np.int64),
        frame[lattice.J].astype(np.int64),
    )
    grain = frame[lattice.GRAIN]
    if _has_displacements(frame):
        cells = np.column_stack([frame[displacement.I], frame[displacement.J]]).astype(np.int64)
        of_cell = grain[frame[displacement.COLUMN]]
    else:
        cells, of_cell, _ = framework_cells(frame)
    found = {variable.path: np.full(len(cells), np.nan) for variable in outputs(params)}
    for number in np.unique(of_cell):
        here = of_cell == number
        for variable, values in _of_grain(measured.of(grain == number), cells[here], params).items():
            found[variable.path][here] = values
    return found


def _scan(frame: ImageFrame) -> LineNoise:
    """Return what the scan did to the columns, nm: as the displacements show it, where they are measured."""
    noise = line_noise(frame, _A, _B)
    variance = noise.variance
    if _has_displacements(frame):
        variance = np.array([float(frame[shift]) ** 2 for shift in (displacement.JITTER_X, displacement.JITTER_Y)])
    return noise._replace(variance=variance).scaled(1.0 / _PM)


def _by_noise(frame: ImageFrame, params: StrainParams) -> PositionCovariance:
    """Return the covariance of the columns, nm², with that of pairs only where it counts: it isn't stored."""
    if params.octahedral_tilt or rotation.ANGLE in frame:
        return columns.covariance_of(frame)
    return PositionCovariance.independent(np.column_stack([frame[columns.Y_ERR], frame[columns.X_ERR]]))


def _excess(frame: ImageFrame) -> Array:
    """Return by what the errors of the fits (y, x) are too small, as the scatter of the displacements shows it."""
    if not _has_displacements(frame):
        return np.ones(2)
    return np.array([float(frame[excess]) for excess in (displacement.EXCESS_Y, displacement.EXCESS_X)])


def _has_displacements(frame: ImageFrame) -> bool:
    return displacement.COLUMN in frame and bool((frame[displacement.COLUMN] >= 0).any())


@dataclass(frozen=True, slots=True)
class _Columns:
    positions: Array
    known: PositionCovariance
    """By the noise of the pixels."""
    scan: LineNoise
    """What lines of the scan did to them, before they were turned."""
    turn: Array
    """(2, 2), of (y, x)."""
    sublattice: Array
    i: Array
    j: Array

    def of(self, part: Array) -> _Columns:
        """Return some of them."""
        return replace(
            self,
            positions=self.positions[part],
            known=self.known.subset(part),
            scan=self.scan.of(part),
            sublattice=self.sublattice[part],
            i=self.i[part],
            j=self.j[part],
        )

    @property
    def errors(self) -> Array:
        """(n, 2), standard errors by the noise of the pixels."""
        return np.sqrt(self.known.own[:, [0, 1], [0, 1]])

    def shared(self, cells: Array) -> Array:
        """Return the covariance (n, 4, 4, 2, 2) that the scan gives to the corners of cells (n, 2)."""
        among = covariance_in_groups(corners_of(self.i, self.j, cells), self.scan)[..., ::-1, ::-1]
        return np.asarray(self.turn @ among @ self.turn.T)

    def error_of(self, columns: Array, moves: Array) -> Array:
        """Return the standard error (n,) of sums over columns (n, k) that change by `moves` (n, k, 2) along (y, x)."""
        rows = np.repeat(np.arange(len(columns)), columns.shape[1])

        def sums(moves: Array) -> sparse.csr_array:
            entries = moves.ravel(), (rows, columns.ravel())
            return sparse.csr_array(entries, shape=(len(columns), len(self.positions)))

        of_image = moves @ self.turn
        variance = self.known.of_moves(sums(moves[..., 0]), sums(moves[..., 1]))
        variance += variance_of_moves(sums(of_image[..., 1]), sums(of_image[..., 0]), self.scan)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _of_grain(measured: _Columns, cells: Array, params: StrainParams) -> dict[Variable, Array]:
    """Measure cells (n, 2) of one grain."""
    corners = measured.of(measured.sublattice == _A)
    vectors = cell_vectors(corners.positions, corners.errors, corners.i, corners.j, cells, corners.shared(cells))
    shape = lattice_parameters(vectors)
    middle = columns_of_cells(corners.positions, corners.i, corners.j, cells) + 0.5 * (vectors.a + vectors.b)
    found = {
        Y: middle[:, 0],
        X: middle[:, 1],
        C_OVER_A.value: shape.ratio,
        C_OVER_A.error: shape.ratio_err,
        LENGTH_A.value: shape.a,
        LENGTH_A.error: shape.a_err,
        LENGTH_B.value: shape.b,
        LENGTH_B.error: shape.b_err,
        GAMMA: shape.gamma,
        SPACING_A: shape.spacing_a,
        SPACING_B: shape.spacing_b,
        CURVATURE_A: vectors.curvature_a,
        CURVATURE_B: vectors.curvature_b,
    }
    mean = fit_lattice(corners.positions, corners.i, corners.j)
    reference = np.stack([mean.a, mean.b])
    if np.isfinite(reference).all():
        if params.reference_a is not None and params.reference_b is not None:
            lengths = params.reference_a.nm(), params.reference_b.nm()
            reference = oriented_reference(*lengths, params.reference_gamma, reference)
        strain = strain_of(vectors, reference)
        found |= {
            EXX.value: strain.exx,
            EXX.error: strain.exx_err,
            EYY.value: strain.eyy,
            EYY.error: strain.eyy_err,
            EXY.value: strain.exy,
            EXY.error: strain.exy_err,
            ROTATION.value: strain.rotation,
            ROTATION.error: strain.rotation_err,
        }
    if params.octahedral_tilt:
        found[OCTAHEDRAL_TILT.value], found[OCTAHEDRAL_TILT.error] = _octahedral_tilt(measured, cells, vectors)
    return found


def _octahedral_tilt(measured: _Columns, cells: Array, vectors: CellVectors) -> tuple[Array, Array]:
    """Return the rotation of the octahedra in cells (n, 2) of one grain, and its standard error."""
    middles = measured.of(measured.sublattice == _B)
    centres = columns_of_cells(middles.positions, middles.i, middles.j, cells)
    corner, oxygen = (np.flatnonzero(kind) for kind in (measured.sublattice == _A, measured.sublattice >= _OXYGEN))
    found = octahedral_tilt(centres, vectors.a, vectors.b, measured.positions[oxygen])
    error = np.full(len(cells), np.nan)
    known = np.flatnonzero(np.isfinite(found.tilt))
    if len(known):
        corners = corner[corners_of(measured.i[corner], measured.j[corner], cells[known])]
        moves = [by_corners(found.by_cell[known, 0], found.by_cell[known, 1]), found.by_oxygen[known]]
        columns = np.concatenate([corners, oxygen[found.oxygen[known]]], axis=1)
        error[known] = measured.error_of(columns, np.concatenate(moves, axis=1))
    return found.tilt, error


ANALYSIS = Analysis(
    name="strain",
    kind="images",
    summary="Strain, rotation and lattice parameters of each cell",
    params=StrainParams,
    outputs=outputs,
    shows="stemdask.figures.images.strain",
    needs=("columns", "lattice"),
    after=("preprocess", "scan_distortion", "displacement"),
    run=run,
)
