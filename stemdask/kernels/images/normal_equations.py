"""The normal equations of all columns of an image together with the fields they share, and their solution.

Unknowns: P parameters of each column (3: amplitude, y, x; or 6 with widths of its own), and the coefficients of smooth
fields: the background and, where columns share them, the widths of each sublattice. The matrix is symmetric and sparse:
a P×P block for each column and each overlapping pair, a border from columns to fields, and the fields among themselves.
To the columns the fields count as constant within a patch of the image.

It is solved by conjugate gradients. The preconditioner inverts each column's block and, beside it, solves a small coarse
system of the fields with the smooth changes of each sublattice's amplitude: background, width and amplitude can almost
replace one another where columns overlap strongly, and single columns don't see that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

Float = NDArray[np.float64]


@dataclass
class NormalEquations:
    """The matrix. n columns, p overlapping pairs, f fields, c coefficients of them, t patches, s sublattices."""

    own: Float
    """(n, P, P)"""
    pairs: NDArray[np.int32]
    """(p, 2)"""
    coupling: Float
    """(p, P, P), rows of the pair's first column."""
    border: Float
    """(n, P, f): per unit of each field."""
    patch: NDArray[np.intp]
    """(n,), patch of each column."""
    sublattice: NDArray[np.intp]
    """(n,)"""
    fields: Float
    """(t, c): per patch and coefficient, the value of its spline."""
    field_of: NDArray[np.intp]
    """(c,), field that each coefficient belongs to."""
    among_fields: Float
    """(c, c)"""
    coarse: Float
    """(c + amplitude modes, same): the fields and the smooth changes of amplitude."""
    modes: Float
    """(t, modes): splines of the amplitude modes, the same for each sublattice."""

    def damped(self, damping: float) -> NormalEquations:
        """Return the matrix with its diagonal raised by the factor 1 + damping."""
        if damping == 0.0:
            return self
        scale = lambda matrix: matrix * (1.0 + damping * np.eye(matrix.shape[-1]))  # noqa: E731
        changed = {name: scale(getattr(self, name)) for name in ("own", "among_fields", "coarse")}
        return NormalEquations(**{**self.__dict__, **changed})

    def _spread(self, coefficients: Float) -> Float:
        """Return the fields (t, f) of coefficients (c,)."""
        spread = np.zeros((len(self.fields), self.border.shape[2]))
        for field in range(spread.shape[1]):
            of = self.field_of == field
            spread[:, field] = self.fields[:, of] @ coefficients[of]
        return spread

    def _collect(self, fields: Float) -> Float:
        """Return coefficients (c,) of sums (t, f); the transpose of :meth:`_spread`."""
        return np.einsum("tc,tc->c", self.fields, fields[:, self.field_of])

    def apply(self, columns: Float, coefficients: Float) -> tuple[Float, Float]:
        """Multiply the matrix with (n, P) and (c,)."""
        out = np.empty_like(columns)
        sums = np.zeros((len(self.fields), self.border.shape[2]))
        _multiply(
            self.own, self.pairs, self.coupling, self.border, self.patch, self._spread(coefficients), columns, out, sums
        )
        return out, self._collect(sums) + self.among_fields @ coefficients

    def solve(
        self, columns: Float, coefficients: Float, *, accuracy: float = 1e-2, most: int = 60
    ) -> tuple[Float, Float]:
        """Solve for a right-hand side (n, P) and (c,) to a relative accuracy in the norm of the preconditioner."""
        inverse = np.empty_like(self.own)
        invert_blocks(self.own, inverse)
        factor = factorise(self.coarse)
        n_fields, n_modes, n_sub = len(coefficients), self.modes.shape[1], int(self.sublattice.max(initial=-1)) + 1

        def precondition(r: Float, q: Float) -> tuple[Float, Float]:
            z = np.empty_like(r)
            sums = np.zeros((len(self.modes), n_sub))
            _relax(inverse, self.patch, self.sublattice, r, z, sums)
            solved = cho_solve(factor, np.concatenate([q, (self.modes.T @ sums).T.ravel()]), check_finite=False)
            amplitude = self.modes @ solved[n_fields:].reshape(n_sub, n_modes).T
            z[:, 0] += amplitude[self.patch, self.sublattice]
            return z, solved[:n_fields]

        x, xf = np.zeros_like(columns), np.zeros_like(coefficients)
        r, rf = columns.copy(), coefficients.copy()
        z, zf = precondition(r, rf)
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
            z, zf = precondition(r, rf)
            rho, before = float(np.vdot(r, z) + rf @ zf), rho
            d = z + (rho / before) * d
            df = zf + (rho / before) * df
        return x, xf


def factorise(matrix: Float) -> tuple[Float, bool]:
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


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply(
    own: Float,
    pairs: NDArray[np.int32],
    coupling: Float,
    border: Float,
    patch: NDArray[np.intp],
    field: Float,
    x: Float,
    out: Float,
    sums: Float,
) -> None:
    n, size = x.shape
    n_fields = border.shape[2]
    for k in range(n):
        t = patch[k]
        for a in range(size):
            total = 0.0
            for b in range(size):
                total += own[k, a, b] * x[k, b]
            for f in range(n_fields):
                total += border[k, a, f] * field[t, f]
                sums[t, f] += border[k, a, f] * x[k, a]
            out[k, a] = total
    for p in range(len(pairs)):
        k, m = pairs[p, 0], pairs[p, 1]
        for a in range(size):
            for b in range(size):
                out[k, a] += coupling[p, a, b] * x[m, b]
                out[m, b] += coupling[p, a, b] * x[k, a]


@njit(cache=True, nogil=True, error_model="numpy")
def _relax(
    inverse: Float, patch: NDArray[np.intp], sublattice: NDArray[np.intp], r: Float, z: Float, sums: Float
) -> None:
    n, size = r.shape
    for k in range(n):
        for a in range(size):
            total = 0.0
            for b in range(size):
                total += inverse[k, a, b] * r[k, b]
            z[k, a] = total
        sums[patch[k], sublattice[k]] += r[k, 0]


@njit(cache=True, nogil=True, error_model="numpy")
def invert_blocks(blocks: Float, out: Float) -> None:
    """Invert symmetric positive definite blocks (n, P, P) by Cholesky; a block that isn't loses its couplings."""
    n, size, _ = blocks.shape
    low = np.empty((size, size))
    for k in range(n):
        definite = True
        for i in range(size):
            for j in range(i + 1):
                total = blocks[k, i, j]
                for m in range(j):
                    total -= low[i, m] * low[j, m]
                if i == j:
                    if not total > 1e-12 * blocks[k, i, i]:
                        definite = False
                        total = 1.0
                    low[i, i] = np.sqrt(total)
                else:
                    low[i, j] = total / low[j, j]
        if not definite:
            for i in range(size):
                for j in range(size):
                    out[k, i, j] = 0.0
                out[k, i, i] = 1.0 / blocks[k, i, i] if blocks[k, i, i] > 0.0 else 0.0
            continue
        for column in range(size):
            for i in range(size):
                total = 1.0 if i == column else 0.0
                for m in range(i):
                    total -= low[i, m] * out[k, m, column]
                out[k, i, column] = total / low[i, i]
            for i in range(size - 1, -1, -1):
                total = out[k, i, column]
                for m in range(i + 1, size):
                    total -= low[m, i] * out[k, m, column]
                out[k, i, column] = total / low[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def assemble(
    blocks: Float,
    pairs: NDArray[np.int32],
    under_background: Float,
    free: NDArray[np.bool_],
    sublattice: NDArray[np.intp],
    patch: NDArray[np.intp],
    own: Float,
    coupling: Float,
    border: Float,
    patch_sums: Float,
) -> None:
    """Sort the 6×6 blocks of all parameters into those of the columns and those of the fields.

    Parameters
    ----------
    blocks
        (n + p, 6, 6): of each column, then of each pair.
    under_background
        (n, 6): coupling of each column's parameters to the background.
    free
        (n, P): parameters that are fitted; the others are held.
    own, coupling, border
        Written; see :class:`NormalEquations`.
    patch_sums
        (t, f + s, f + s), zero on entry: the fields (background, widths of each sublattice) and the amplitudes of each
        sublattice among themselves, except the background with itself.
    """
    n, size = free.shape
    n_fields = border.shape[2]
    shared = size == 3
    border[:, :, :] = 0.0
    for k in range(n):
        t, s = patch[k], sublattice[k]
        amplitude = n_fields + s
        for a in range(size):
            for b in range(size):
                both = free[k, a] and free[k, b]
                own[k, a, b] = blocks[k, a, b] if both else (1.0 if a == b else 0.0)
            if free[k, a]:
                border[k, a, 0] = under_background[k, a]
                if shared:
                    for j in range(3):
                        border[k, a, 1 + 3 * s + j] = blocks[k, a, 3 + j]
        sums = patch_sums[t]
        if free[k, 0]:
            sums[amplitude, amplitude] += blocks[k, 0, 0]
            sums[0, amplitude] += under_background[k, 0]
            sums[amplitude, 0] += under_background[k, 0]
        if shared:
            for j in range(3):
                w = 1 + 3 * s + j
                sums[0, w] += under_background[k, 3 + j]
                sums[w, 0] += under_background[k, 3 + j]
                if free[k, 0]:
                    sums[w, amplitude] += blocks[k, 3 + j, 0]
                    sums[amplitude, w] += blocks[k, 3 + j, 0]
                for i in range(3):
                    sums[w, 1 + 3 * s + i] += blocks[k, 3 + j, 3 + i]
    for p in range(len(pairs)):
        k, m = pairs[p, 0], pairs[p, 1]
        sk, sm = sublattice[k], sublattice[m]
        block, sums = blocks[n + p], patch_sums[patch[k]]
        for a in range(size):
            for b in range(size):
                coupling[p, a, b] = block[a, b] if free[k, a] and free[m, b] else 0.0
        if free[k, 0] and free[m, 0]:
            sums[n_fields + sk, n_fields + sm] += block[0, 0]
            sums[n_fields + sm, n_fields + sk] += block[0, 0]
        if shared:
            for j in range(3):
                wk, wm = 1 + 3 * sk + j, 1 + 3 * sm + j
                for a in range(3):
                    if free[k, a]:
                        border[k, a, wm] += block[a, 3 + j]
                    if free[m, a]:
                        border[m, a, wk] += block[3 + j, a]
                if free[k, 0]:
                    sums[wm, n_fields + sk] += block[0, 3 + j]
                    sums[n_fields + sk, wm] += block[0, 3 + j]
                if free[m, 0]:
                    sums[wk, n_fields + sm] += block[3 + j, 0]
                    sums[n_fields + sm, wk] += block[3 + j, 0]
                for i in range(3):
                    sums[wk, 1 + 3 * sm + i] += block[3 + j, 3 + i]
                    sums[1 + 3 * sm + i, wk] += block[3 + j, 3 + i]


@njit(cache=True, nogil=True, error_model="numpy")
def column_covariances(
    own: Float,
    inverse: Float,
    pairs: NDArray[np.int32],
    coupling: Float,
    border: Float,
    patch: NDArray[np.intp],
    field_covariance: Float,
    out: Float,
) -> None:
    """Write each column's block of the inverse of the matrix: (n, P, P).

    The neighbours of a column are eliminated as if they didn't overlap one another, which is right to the fourth power
    of the overlap; then the uncertainty of the fields (t, f, f) is added.
    """
    n, size, _ = own.shape
    reduced = own.copy()
    half = np.empty((size, size))
    for p in range(len(pairs)):
        for side in range(2):
            k, m = pairs[p, side], pairs[p, 1 - side]
            for a in range(size):
                for b in range(size):
                    total = 0.0
                    for c in range(size):
                        total += (coupling[p, a, c] if side == 0 else coupling[p, c, a]) * inverse[m, c, b]
                    half[a, b] = total
            for a in range(size):
                for b in range(size):
                    for c in range(size):
                        reduced[k, a, b] -= half[a, c] * (coupling[p, b, c] if side == 0 else coupling[p, c, b])
    invert_blocks(reduced, out)
    n_fields = border.shape[2]
    lever = np.empty((size, n_fields))
    for k in range(n):
        for a in range(size):
            for f in range(n_fields):
                total = 0.0
                for b in range(size):
                    total += out[k, a, b] * border[k, b, f]
                lever[a, f] = total
        for a in range(size):
            for b in range(size):
                for f in range(n_fields):
                    for g in range(n_fields):
                        out[k, a, b] += lever[a, f] * field_covariance[patch[k], f, g] * lever[b, g]
