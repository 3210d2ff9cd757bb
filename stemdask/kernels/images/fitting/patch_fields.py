"""Smooth fields as columns feel them: linear within each patch of the image, by the few splines that reach there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from stemdask.kernels.arrays import Floats, Indices
from stemdask.kernels.compiled import kernel


@dataclass(frozen=True)
class PatchSplines:
    """The splines of one field in each of t patches.

    Parameters
    ----------
    levels
        (t, l, k): value and, l = 3, slopes along y and x at the patch's centre of the k splines that may reach it.
    splines
        (t, k), their numbers.
    size
        Number of splines.
    """

    levels: Floats
    splines: Indices
    size: int

    @classmethod
    def constant(cls, n_patches: int, length: int) -> PatchSplines:
        """Return those of a field that is the same everywhere."""
        levels = np.zeros((n_patches, length, 1))
        levels[:, 0] = 1.0
        return cls(levels, np.zeros((n_patches, 1), np.intp), 1)

    def values(self, coefficients: Floats) -> Floats:
        """Return the fields (s, t, l) with coefficients (s, size)."""
        out = np.empty((len(coefficients), *self.levels.shape[:2]))
        _values(self.levels, self.splines, coefficients, out)
        return out

    def sums(self, of_patches: Floats) -> Floats:
        """Return the sums (s, size) of numbers (s, t, l) with each spline; transposes :meth:`values`."""
        out = np.zeros((len(of_patches), self.size))
        _sums(self.levels, self.splines, of_patches, out)
        return out

    def product(self, between: Floats, other: PatchSplines) -> Floats:
        """Return the matrix (size, size of the other) of numbers (t, l, l) between the fields in each patch."""
        out = np.zeros((self.size, other.size))
        _product(self.levels, self.splines, between, other.levels, other.splines, out)
        return out

    def covariance(self, of_coefficients: Floats, other: PatchSplines) -> Floats:
        """Return the covariance (t,) of the values of two fields, from that of their coefficients."""
        among = of_coefficients[self.splines[:, :, None], other.splines[:, None, :]]
        return np.asarray(np.einsum("tk,tkm,tm->t", self.levels[:, 0], among, other.levels[:, 0]))


@dataclass(frozen=True)
class PatchFields:
    """Several fields, whose coefficients follow one another."""

    each: tuple[PatchSplines, ...]

    def __len__(self) -> int:
        return len(self.each)

    @property
    def length(self) -> int:
        """Numbers of a field in a patch: its value and, 3, its slopes."""
        return int(self.each[0].levels.shape[1])

    @property
    def n_patches(self) -> int:
        """Number of patches."""
        return len(self.each[0].levels)

    @cached_property
    def ends(self) -> Indices:
        """(fields + 1,), where the coefficients of each end, from 0."""
        return np.cumsum([0, *(field.size for field in self.each)])

    @cached_property
    def used(self) -> Indices:
        """Numbers of value and slopes among all (fields · l) that aren't zero in every patch."""
        return np.flatnonzero([row.any() for field in self.each for row in np.moveaxis(field.levels, 1, 0)])

    @cached_property
    def _levels(self) -> sparse.csr_array:
        """(patches · used, coefficients)."""
        which, level = np.divmod(self.used, self.length)
        levels = [self.each[f].levels[:, a] for f, a in zip(which, level, strict=True)]
        columns = [self.each[f].splines + self.ends[f] for f in which]
        start = np.cumsum([0, *np.tile([one.shape[1] for one in levels], self.n_patches)])
        entries = np.concatenate(levels, axis=1).ravel(), np.concatenate(columns, axis=1).ravel(), start
        return sparse.csr_array(entries, shape=(len(start) - 1, self.ends[-1]))

    @cached_property
    def _transposed(self) -> sparse.csr_array:
        return sparse.csr_array(self._levels.T)

    def with_constants(self, n: int) -> PatchFields:
        """Return these and n more that are the same everywhere."""
        return PatchFields((*self.each, *[PatchSplines.constant(self.n_patches, self.length)] * n))

    def values(self, coefficients: Floats) -> Floats:
        """Return what is used of the fields (t, used) with coefficients (c,)."""
        return np.asarray(self._levels @ coefficients).reshape(self.n_patches, -1)

    def sums(self, of_patches: Floats) -> Floats:
        """Return the sums (c,) of numbers (t, used) with each spline; transposes :meth:`values`."""
        return np.asarray(self._transposed @ of_patches.ravel())


@kernel
def _values(levels: Floats, splines: Indices, coefficients: Floats, out: Floats) -> None:
    n_patches, length, n_near = levels.shape
    for s in range(len(coefficients)):
        for t in range(n_patches):
            for a in range(length):
                total = 0.0
                for k in range(n_near):
                    total += levels[t, a, k] * coefficients[s, splines[t, k]]
                out[s, t, a] = total


@kernel
def _sums(levels: Floats, splines: Indices, of_patches: Floats, out: Floats) -> None:
    n_patches, length, n_near = levels.shape
    for s in range(len(of_patches)):
        for t in range(n_patches):
            for k in range(n_near):
                total = 0.0
                for a in range(length):
                    total += levels[t, a, k] * of_patches[s, t, a]
                out[s, splines[t, k]] += total


@kernel
def _product(left: Floats, lefts: Indices, between: Floats, right: Floats, rights: Indices, out: Floats) -> None:
    n_patches, length, n_left = left.shape
    n_right = right.shape[2]
    turned = np.empty((length, n_right))
    for t in range(n_patches):
        for a in range(length):
            for m in range(n_right):
                total = 0.0
                for b in range(length):
                    total += between[t, a, b] * right[t, b, m]
                turned[a, m] = total
        for k in range(n_left):
            for m in range(n_right):
                total = 0.0
                for a in range(length):
                    total += left[t, a, k] * turned[a, m]
                out[lefts[t, k], rights[t, m]] += total
