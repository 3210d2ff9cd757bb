"""The normal equations of all columns of an image together with the fields that they share, and their solution.

Unknowns: P parameters of each column (3: amplitude, y, x; or 6 with widths of its own), and the coefficients of smooth
fields: the background and, where columns share them, the widths of each sublattice, which may be tied to one another.
The matrix is symmetric and sparse: a P×P block for each column and for each overlapping pair, a border from columns to
fields, and the fields among themselves. To the columns a field is linear within a patch of the image: one number or
three for each patch and field.

It is solved by conjugate gradients. The preconditioner inverts each column's block and, beside that, solves a small
coarse system of the fields with the smooth changes of each sublattice's amplitude: background, width and amplitude can
almost replace one another where columns overlap strongly, and single columns don't see that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, block_diag, cho_factor, cho_solve

from stemdask.kernels.arrays import Booleans, Floats, Image, Indices, Integers32
from stemdask.kernels.compiled import kernel
from stemdask.kernels.images.fitting.assembly import Information, Parts, Placement, assemble
from stemdask.kernels.images.fitting.blocks import invert_blocks
from stemdask.kernels.images.fitting.patch_fields import PatchFields, PatchSplines
from stemdask.kernels.images.fitting.smooth import Patches

#: The products (1, y, x, yy, yx, xx) as the matrix (1, y, x)·(1, y, x)ᵀ.
_SQUARE = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])


@dataclass(frozen=True)
class Fields:
    """The fields that columns share, apart from their values.

    Attributes
    ----------
    patches, splines
        What each field is in each patch. The first is the background; amplitude modes of the coarse system are as it.
    n_sublattices
        Number of sublattices, each with fields of its own.
    weight
        (y, x), 1 / variance of the pixels.
    stiffness
        Of the background's coefficients among themselves, known beforehand.
    caution
        The same for each map of a width, in units of the mean of its diagonal: shortens steps, nothing more.
    """

    patches: Patches
    splines: PatchFields
    n_sublattices: int
    weight: Image
    stiffness: Floats
    caution: Floats | None

    def stiffen(self, among: Floats) -> None:
        """Add what is known beforehand to the fields' coefficients among themselves (c, c), in place."""
        size = len(self.stiffness)
        among[:size, :size] += self.stiffness
        if self.caution is None:
            return
        for start in range(size, len(among), len(self.caution)):
            of = slice(start, start + len(self.caution))
            among[of, of] += self.caution * np.mean(np.diag(among[of, of]))


class ShapeInformation(NamedTuple):
    """Fisher information of a shape of t terms that all columns share.

    Attributes
    ----------
    columns
        (n, P, t), with the parameters of each column.
    shared
        (c + t, t), with the other coefficients, and among themselves.
    """

    columns: Floats
    shared: Floats


@dataclass
class NormalEquations:
    """The matrix for n columns, p overlapping pairs, t patches, s sublattices and fields of c coefficients in all.

    Attributes
    ----------
    own
        (n, P, P), each column with itself.
    pairs, coupling
        (p, 2) and (p, P, P), rows of the pair's first column.
    border
        (n, P, fields · l): per unit of each field's value (and slopes, l = 3) at the centre of the column's patch.
    patch, sublattice
        (n,) of each column.
    fields
        What each is in each patch. The first is the background; amplitude modes of the coarse system are as it.
    among_fields
        (c, c).
    coarse
        (c + modes, same).
    tie
        (c of the fields, c), their derivatives by the coefficients.
    """

    own: Floats
    pairs: Integers32
    coupling: Floats
    border: Floats
    patch: Indices
    sublattice: Indices
    levers: Floats
    fields: PatchFields
    among_fields: Floats
    coarse: Floats
    tie: Floats
    inverse: Floats = field(init=False)
    factor: tuple[Floats, bool] = field(init=False)
    _felt: Floats = field(init=False)
    """(n, P, used): the border, but for values and slopes that are always zero."""

    def __post_init__(self) -> None:
        self.inverse = np.empty_like(self.own)
        invert_blocks(self.own, self.inverse)
        self.factor = factorise(self.coarse)
        self._felt = np.ascontiguousarray(self.border[:, :, self.fields.used])

    @classmethod
    def build(
        cls,
        information: Information,
        free: Booleans,
        sublattice: Indices,
        positions: Floats,
        fields: Fields,
        tie: Floats,
    ) -> NormalEquations:
        """Sort Fisher information into the matrix.

        Parameters
        ----------
        information
            Of the columns.
        free
            (n, P): parameters that are fitted; the others are held.
        sublattice, positions
            (n,) and (n, 2), px.
        fields
            Background and widths.
        tie
            (c of the fields, c), their derivatives by the coefficients that are fitted.
        """
        n, size = free.shape
        placement = Placement(positions, fields.patches.holding(positions), fields.patches.centres)
        n_fields, length = len(fields.splines), fields.splines.length
        levers = np.ones((n, length))
        levers[:, 1:] = (positions - placement.centres[placement.patch])[:, : length - 1]
        every = [*fields.splines.each, *([fields.splines.each[0]] * fields.n_sublattices)]
        parts = Parts(
            own=np.empty((n, size, size)),
            coupling=np.empty((len(information.pairs), size, size)),
            border=np.zeros((n, size, n_fields * length)),
            sums=np.zeros((len(placement.centres), len(every), len(every), 6 if length == 3 else 1)),
        )
        assemble(information, free, sublattice, placement, parts)
        parts.sums[:, 0, 0] = fields.patches.moments(fields.weight)
        coarse = _project(parts.sums, every)
        c = int(fields.splines.ends[-1])
        fields.stiffen(coarse[:c, :c])
        among, with_modes = tie.T @ coarse[:c, :c] @ tie, tie.T @ coarse[:c, c:]
        return cls(
            own=parts.own,
            pairs=information.pairs,
            coupling=parts.coupling,
            border=parts.border,
            patch=placement.patch,
            sublattice=sublattice,
            levers=levers,
            fields=fields.splines,
            among_fields=among,
            coarse=np.block([[among, with_modes], [with_modes.T, coarse[c:, c:]]]),
            tie=tie,
        )

    def with_shape(self, shape: ShapeInformation, fields: PatchFields) -> NormalEquations:
        """Return the matrix with the terms of a shape: fields that are the same everywhere, behind the others."""
        length, modes = self.fields.length, self.fields.each[0]
        n_terms, c = shape.shared.shape[1], len(self.among_fields)
        n_sub = (len(self.coarse) - c) // modes.size
        border = np.zeros((*shape.columns.shape, length))
        border[..., 0] = shape.columns
        sums = np.zeros((n_terms, n_sub, self.fields.n_patches, length))
        for t in range(n_terms):
            np.add.at(sums[t], (self.sublattice, self.patch), self.levers * shape.columns[:, 0, t, None])
        of_modes = modes.sums(sums.reshape(-1, *sums.shape[2:])).reshape(n_terms, -1).T
        new = slice(c, c + n_terms)
        coarse = np.insert(np.insert(self.coarse, [c] * n_terms, 0.0, axis=0), [c] * n_terms, 0.0, axis=1)
        coarse[:, new] = np.concatenate([shape.shared, of_modes])
        coarse[new] = coarse[:, new].T
        return replace(
            self,
            border=np.concatenate([self.border, border.reshape(len(border), border.shape[1], -1)], axis=2),
            fields=fields,
            among_fields=coarse[: c + n_terms, : c + n_terms].copy(),
            coarse=coarse,
            tie=block_diag(self.tie, np.eye(n_terms)),
        )

    def terms_alone(self, n_terms: int) -> ShapeInformation:
        """Return what the last terms are among themselves, uncoupled: as a preconditioner it's always definite."""
        shared = np.zeros((len(self.among_fields), n_terms))
        shared[-n_terms:] = self.among_fields[-n_terms:, -n_terms:]
        return ShapeInformation(np.zeros((*self.own.shape[:2], n_terms)), shared)

    def damped(self, columns: Floats, fields: float) -> NormalEquations:
        """Return the matrix with a raised diagonal: of each column by 1 + columns (n,), of the fields by 1 + fields."""
        if fields == 0.0 and not columns.any():
            return self

        def raised(matrix: Floats, damping: Floats | float) -> Floats:
            return matrix * (1.0 + damping * np.eye(matrix.shape[-1]))

        return replace(
            self,
            own=raised(self.own, columns[:, None, None]),
            among_fields=raised(self.among_fields, fields),
            coarse=raised(self.coarse, fields),
        )

    def apply(self, columns: Floats, coefficients: Floats) -> tuple[Floats, Floats]:
        """Multiply the matrix with (n, P) and (c,)."""
        fields = self.fields.values(self.tie @ coefficients)
        out, sums = np.empty_like(columns), np.zeros_like(fields)
        multiply = _multiply_places if columns.shape[1] == 3 else _multiply
        multiply(_Matrix(self.own, self.pairs, self.coupling, self._felt, self.patch), fields, columns, out, sums)
        return out, self.fields.sums(sums) @ self.tie + self.among_fields @ coefficients

    def precondition(self, columns: Floats, coefficients: Floats) -> tuple[Floats, Floats]:
        """Solve roughly: each column by itself, plus the coarse system."""
        modes, c = self.fields.each[0], len(coefficients)
        n_sub = (len(self.coarse) - c) // modes.size
        out = np.empty_like(columns)
        sums = np.zeros((n_sub, self.fields.n_patches, self.fields.length))
        _relax(self.inverse, self.patch, self.sublattice, self.levers, columns, out, sums)
        right = np.concatenate([coefficients, modes.sums(sums).ravel()])
        solved = cho_solve(self.factor, right, check_finite=False)
        local = modes.values(solved[c:].reshape(n_sub, modes.size))
        _lift(self.patch, self.sublattice, self.levers, local, out)
        return out, solved[:c]

    def solve(
        self, columns: Floats, coefficients: Floats, *, accuracy: float = 1e-3, most: int = 100
    ) -> tuple[Floats, Floats]:
        """Solve for a right-hand side (n, P) and (c,), to a relative accuracy in the norm of the preconditioner."""
        x, xf = np.zeros_like(columns), np.zeros_like(coefficients)
        r, rf = columns.copy(), coefficients.copy()
        z, zf = self.precondition(r, rf)
        d, df = z, zf
        rho = first = float(np.vdot(r, z) + rf @ zf)
        for _ in range(most):
            if not rho > accuracy**2 * first:
                break
            ad, adf = self.apply(d, df)
            curvature = float(np.vdot(d, ad) + df @ adf)
            if not curvature > 0.0:
                break
            step = rho / curvature
            x += step * d
            xf += step * df
            r -= step * ad
            rf -= step * adf
            z, zf = self.precondition(r, rf)
            rho, before = float(np.vdot(r, z) + rf @ zf), rho
            d = z + (rho / before) * d
            df = zf + (rho / before) * df
        return x, xf

    def field_covariance(self) -> Floats:
        """Return the covariance of the fields' values (t, fields, same) at the centres of the patches."""
        size = len(self.among_fields)
        covariance = cho_solve(self.factor, np.eye(len(self.coarse))[:, :size], check_finite=False)[:size]
        covariance = self.tie @ covariance @ self.tie.T
        fields, ends = self.fields.each, self.fields.ends
        out = np.empty((self.fields.n_patches, len(fields), len(fields)))
        for f, one in enumerate(fields):
            for g, other in enumerate(fields):
                out[:, f, g] = one.covariance(covariance[ends[f] : ends[f + 1], ends[g] : ends[g + 1]], other)
        return out


def _project(sums: Floats, splines: list[PatchSplines]) -> Floats:
    """Turn sums (t, f, f, products) per patch and pair of fields into the matrix of the fields' coefficients."""
    square = sums[..., _SQUARE] if sums.shape[3] == 6 else sums[..., None]
    ends = np.cumsum([0, *(one.size for one in splines)])
    matrix = np.zeros((ends[-1], ends[-1]))
    for f, left in enumerate(splines):
        for g, right in enumerate(splines[: f + 1]):
            part = square[:, f, g]
            if not np.any(part):
                continue
            block = left.product(part, right)
            matrix[ends[f] : ends[f + 1], ends[g] : ends[g + 1]] = block
            matrix[ends[g] : ends[g + 1], ends[f] : ends[f + 1]] = block.T
    return matrix


def factorise(matrix: Floats) -> tuple[Floats, bool]:
    """Return the Cholesky factor of a symmetric matrix; a ridge is added where it's singular."""
    diagonal = np.diag(matrix)
    size = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    scaled = matrix / (size[:, None] * size)
    np.fill_diagonal(scaled, 1.0)
    ridge = 1e-12
    while True:
        try:
            factor, lower = cho_factor(scaled + ridge * np.eye(len(matrix)), lower=True, check_finite=False)
        except LinAlgError:
            ridge *= 100.0
            continue
        return np.tril(factor) * size[:, None], lower


class _Matrix(NamedTuple):
    """What of :class:`NormalEquations` multiplies columns."""

    own: Floats
    pairs: Integers32
    coupling: Floats
    border: Floats
    patch: Indices


@kernel
def _multiply_places(matrix: _Matrix, fields: Floats, x: Floats, out: Floats, sums: Floats) -> None:
    """Do as :func:`_multiply` with columns of three parameters: loops of a length that is known take half the time."""
    own, pairs, coupling, border, patch = matrix
    for k in range(len(x)):
        t, c, d = patch[k], own[k], border[k]
        x0, x1, x2 = x[k, 0], x[k, 1], x[k, 2]
        out0 = c[0, 0] * x0 + c[0, 1] * x1 + c[0, 2] * x2
        out1 = c[1, 0] * x0 + c[1, 1] * x1 + c[1, 2] * x2
        out2 = c[2, 0] * x0 + c[2, 1] * x1 + c[2, 2] * x2
        for f in range(border.shape[2]):
            level = fields[t, f]
            out0 += d[0, f] * level
            out1 += d[1, f] * level
            out2 += d[2, f] * level
            sums[t, f] += d[0, f] * x0 + d[1, f] * x1 + d[2, f] * x2
        out[k, 0], out[k, 1], out[k, 2] = out0, out1, out2
    for p in range(len(pairs)):
        k, m, c = pairs[p, 0], pairs[p, 1], coupling[p]
        x0, x1, x2, y0, y1, y2 = x[k, 0], x[k, 1], x[k, 2], x[m, 0], x[m, 1], x[m, 2]
        out[k, 0] += c[0, 0] * y0 + c[0, 1] * y1 + c[0, 2] * y2
        out[k, 1] += c[1, 0] * y0 + c[1, 1] * y1 + c[1, 2] * y2
        out[k, 2] += c[2, 0] * y0 + c[2, 1] * y1 + c[2, 2] * y2
        out[m, 0] += c[0, 0] * x0 + c[1, 0] * x1 + c[2, 0] * x2
        out[m, 1] += c[0, 1] * x0 + c[1, 1] * x1 + c[2, 1] * x2
        out[m, 2] += c[0, 2] * x0 + c[1, 2] * x1 + c[2, 2] * x2


@kernel
def _multiply(matrix: _Matrix, fields: Floats, x: Floats, out: Floats, sums: Floats) -> None:
    own, pairs, coupling, border, patch = matrix
    n, size = x.shape
    n_fields = border.shape[2]
    for k in range(n):
        t = patch[k]
        for a in range(size):
            total = 0.0
            for b in range(size):
                total += own[k, a, b] * x[k, b]
            for f in range(n_fields):
                total += border[k, a, f] * fields[t, f]
                sums[t, f] += border[k, a, f] * x[k, a]
            out[k, a] = total
    for p in range(len(pairs)):
        k, m = pairs[p, 0], pairs[p, 1]
        for a in range(size):
            for b in range(size):
                out[k, a] += coupling[p, a, b] * x[m, b]
                out[m, b] += coupling[p, a, b] * x[k, a]


@kernel
def _relax(
    inverse: Floats,
    patch: Indices,
    sublattice: Indices,
    levers: Floats,
    r: Floats,
    z: Floats,
    sums: Floats,
) -> None:
    n, size = r.shape
    for k in range(n):
        for a in range(size):
            total = 0.0
            for b in range(size):
                total += inverse[k, a, b] * r[k, b]
            z[k, a] = total
        for f in range(levers.shape[1]):
            sums[sublattice[k], patch[k], f] += levers[k, f] * r[k, 0]


@kernel
def _lift(patch: Indices, sublattice: Indices, levers: Floats, local: Floats, z: Floats) -> None:
    """Add the smooth changes of the sublattices' amplitudes (s, t, l)."""
    for k in range(len(z)):
        for f in range(levers.shape[1]):
            z[k, 0] += levers[k, f] * local[sublattice[k], patch[k], f]
