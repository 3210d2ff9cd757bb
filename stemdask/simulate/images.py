"""Images of crystals with known columns, on which fits, accuracy figures and the demo are measured.

A column is a Gaussian **sampled at the pixel centres** (not integrated over the pixel), the same model that is fitted;
above a width of 1.2 px the two differ only in σ², by 1/12 px². Positions are (y, x) in px, y down; displacements
are (u, v) = (along x, along y).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from stemdask.kernels.arrays import Booleans, Codes, Floats, Image, Indices, Integers32
from stemdask.kernels.compiled import kernel

Displacement = ArrayLike | Callable[[Floats], ArrayLike]
Noise = Literal["poisson", "gaussian"] | None


@dataclass(frozen=True, slots=True)
class MotifColumn:
    """One column of the cell.

    Parameters
    ----------
    position
        Fractions of the two basis vectors.
    electrons
        Counts that the whole column scatters to the detector; its peak is electrons / (2 π σ_major σ_minor).
    sigma
        Width in px: one number, or (major, minor, angle of the major axis in rad, counter-clockwise as displayed).
    sublattice
        Number of the sublattice: 0 = A, 1 = B, ...
    """

    position: tuple[float, float]
    electrons: float
    sigma: float | tuple[float, float, float]
    sublattice: int


@dataclass(frozen=True)
class Truth:
    """What is in a simulated image.

    Attributes
    ----------
    positions
        (n, 2), px, (y, x); columns up to some widths beyond the border are listed too: their tails are in the image.
    sublattice, i, j
        (n,), number of the sublattice and the indices of the cell.
    displacement
        (n, 2), px, (u, v): how far each column was moved from its site.
    electrons
        (n,), expected counts of the whole column.
    inside
        (n,), true where the centre lies in the image.
    expected
        (y, x), the image without noise.
    """

    positions: Floats
    sublattice: Codes
    i: Integers32
    j: Integers32
    displacement: Floats
    electrons: Floats
    inside: Booleans
    expected: Floats


def lattice_image(
    shape: tuple[int, int],
    basis: ArrayLike,
    motif: Sequence[MotifColumn],
    *,
    origin: tuple[float, float] | None = None,
    background: float = 0.0,
    displacement: Displacement | None = None,
    displaced: int = 1,
    missing: float = 0.0,
    gradient: float = 0.0,
    vacuum: Booleans | None = None,
    thickness: Callable[[Floats], ArrayLike] | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
    row_shift: Floats | None = None,
    noise: Noise = "poisson",
    readout: float = 0.0,
    margin: float = 0.0,
    seed: int = 0,
    noise_seed: int | None = None,
) -> tuple[Image, Truth]:
    """Draw a crystal of any plane lattice and motif.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    basis
        (2, 2), px: the basis vectors a and b as rows of (y, x).
    motif
        Columns of the cell.
    origin
        (y, x) of cell (0, 0), px; the middle of the image by default.
    background
        Counts per pixel between the columns.
    displacement
        Of the columns of sublattice `displaced`, px: (u, v) for all of them, (n, 2) for the n of them in the order of
        the truth (missing ones included), or a function of their (n, 2) positions.
    missing
        Fraction of columns left out at random.
    gradient
        Relative rise of background and columns from the left to the right border.
    vacuum
        (y, x), true where there is nothing but a tenth of the background; columns centred there are left out.
    thickness
        Function of the (n, 2) positions that multiplies the columns' electrons.
    shift
        (y, x), px by which the whole image is shifted.
    row_shift
        (rows, 2), px, (y, x): error of the scan in each row; the row scans the sample that much further on.
    noise
        Poisson counts, Gaussian noise of standard deviation `readout`, or none; Poisson counts get `readout` on top.
    margin
        px beyond the border up to which columns are drawn besides the reach of their tails; a drift needs its length.
    seed
        Of the crystal's random numbers (missing columns).
    noise_seed
        Of the noise; follows from `seed` by default.

    Returns
    -------
    image
        float32, counts.
    truth
        What is in it.

    Examples
    --------
    >>> from stemdask.simulate import MotifColumn, lattice_image
    >>> motif = [MotifColumn((0.0, 0.0), 5000.0, 2.5, 0), MotifColumn((1 / 3, 1 / 3), 2000.0, 2.5, 1)]
    >>> image, truth = lattice_image((128, 128), [[0.0, 14.0], [12.12, 7.0]], motif, seed=1)
    >>> image.shape, len(truth.positions) == len(truth.sublattice)
    ((128, 128), True)
    """
    rng = np.random.default_rng(seed)
    basis = np.asarray(basis, dtype=np.float64)
    start = np.asarray(origin if origin is not None else ((shape[0] - 1) / 2, (shape[1] - 1) / 2), dtype=np.float64)
    reach = 6.0 * max(max(_widths(column)[:2]) for column in motif)
    positions, sublattice, cells, which = _sites(shape, basis, motif, start, reach + margin)

    moved = np.zeros_like(positions)
    if displacement is not None:
        of = sublattice == displaced
        moved[of] = displacement(positions[of]) if callable(displacement) else displacement
    electrons = np.array([column.electrons for column in motif], dtype=np.float64)[which]
    electrons *= 1.0 + gradient * (positions[:, 1] / shape[1])
    if thickness is not None:
        electrons *= np.asarray(thickness(positions), dtype=np.float64)
    keep = rng.random(len(positions)) >= missing
    if vacuum is not None:
        row = np.clip(np.rint(positions[:, 0]).astype(int), 0, shape[0] - 1)
        column_ = np.clip(np.rint(positions[:, 1]).astype(int), 0, shape[1] - 1)
        keep &= ~vacuum[row, column_]

    positions, moved, electrons, which = positions[keep], moved[keep], electrons[keep], which[keep]
    positions = positions + moved[:, ::-1] + np.asarray(shift)
    expected = np.broadcast_to(background * (1.0 + gradient * np.arange(shape[1]) / shape[1]), shape).astype(np.float64)
    if vacuum is not None:
        expected[vacuum] *= 0.1
    widths = np.array([_widths(column) for column in motif])[which]
    amplitude = electrons / (2.0 * np.pi * widths[:, 0] * widths[:, 1])
    _draw(expected, positions, amplitude, _precision(widths), 6.5 * widths[:, 0], _rows(shape[0], row_shift))

    inside = np.all((positions > -0.5) & (positions < np.asarray(shape) - 0.5), axis=1)
    truth = Truth(
        positions=positions,
        sublattice=sublattice[keep],
        i=cells[keep, 0],
        j=cells[keep, 1],
        displacement=moved,
        electrons=electrons,
        inside=inside,
        expected=expected,
    )
    return _expose(
        expected, noise, readout, np.random.default_rng((seed, 1) if noise_seed is None else noise_seed)
    ), truth


def perovskite(
    shape: tuple[int, int] = (512, 512),
    spacing: float = 16.0,
    *,
    rotation: float = 0.0,
    sigma_a: float = 2.5,
    sigma_b: float = 2.5,
    electrons_a: float = 5000.0,
    electrons_b: float = 2000.0,
    background: float = 5.0,
    displacement: Displacement | None = None,
    missing: float = 0.0,
    gradient: float = 0.0,
    vacuum: Booleans | None = None,
    thickness: Callable[[Floats], ArrayLike] | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
    row_shift: Floats | None = None,
    noise: Noise = "poisson",
    readout: float = 0.0,
    margin: float = 0.0,
    seed: int = 0,
    noise_seed: int | None = None,
) -> tuple[Image, Truth]:
    """Draw a perovskite along [001]: A at the corners of a square cell, B in its middle.

    Parameters
    ----------
    spacing
        A-A distance in px.
    rotation
        Of the lattice, degree, counter-clockwise as displayed.
    sigma_a, sigma_b
        Widths of the columns, px.
    electrons_a, electrons_b
        Counts of a whole column.

    Returns
    -------
    image : numpy.ndarray
        `shape`, counts.
    truth : Truth
        Positions (n, 2) as (y, x) in px, sublattices and displacements of all columns.

    Notes
    -----
    The other parameters and what is returned: :func:`lattice_image`; `displacement` moves the B columns.

    Examples
    --------
    >>> from stemdask.simulate import perovskite
    >>> image, truth = perovskite((128, 128), spacing=13.5, displacement=(0.6, 0.0), seed=1)
    >>> truth.displacement[truth.sublattice == 1][0].tolist()
    [0.6, 0.0]
    """
    angle = np.deg2rad(rotation)
    basis = spacing * np.array([[-np.sin(angle), np.cos(angle)], [np.cos(angle), np.sin(angle)]])
    motif = (
        MotifColumn((0.0, 0.0), electrons_a, sigma_a, 0),
        MotifColumn((0.5, 0.5), electrons_b, sigma_b, 1),
    )
    return lattice_image(
        shape,
        basis,
        motif,
        background=background,
        displacement=displacement,
        missing=missing,
        gradient=gradient,
        vacuum=vacuum,
        thickness=thickness,
        shift=shift,
        row_shift=row_shift,
        noise=noise,
        readout=readout,
        margin=margin,
        seed=seed,
        noise_seed=noise_seed,
    )


def _widths(column: MotifColumn) -> tuple[float, float, float]:
    if isinstance(column.sigma, tuple):
        return column.sigma
    return (column.sigma, column.sigma, 0.0)


def _precision(widths: Floats) -> Floats:
    """Turn (major, minor, angle) into the coefficients of dy², dy·dx (half) and dx² in the exponent."""
    major, minor, angle = widths.T
    along, across = 1.0 / major**2, 1.0 / minor**2
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack(
        [along * sin**2 + across * cos**2, (across - along) * sin * cos, along * cos**2 + across * sin**2], axis=1
    )


def _sites(
    shape: tuple[int, int], basis: Floats, motif: Sequence[MotifColumn], origin: Floats, margin: float
) -> tuple[Floats, Codes, Integers32, Indices]:
    """Return positions, sublattices, cells and motif columns of all sites in the image and `margin` px around it."""
    low, high = -margin, np.asarray(shape) - 1.0 + margin
    corners = np.array([[low, low], [low, high[1]], [high[0], low], [high[0], high[1]]])
    indices = (corners - origin) @ np.linalg.inv(basis)
    first, last = np.floor(indices.min(axis=0)).astype(int) - 1, np.ceil(indices.max(axis=0)).astype(int) + 1
    cells = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last, strict=True)), indexing="ij"), -1)
    cells = cells.reshape(-1, 2)
    fractions = np.array([column.position for column in motif], dtype=np.float64)
    which = np.tile(np.arange(len(motif)), len(cells))
    cells = np.repeat(cells, len(motif), axis=0)
    positions = origin + (cells + fractions[which]) @ basis
    keep = np.all((positions >= low) & (positions <= high), axis=1)
    sublattice = np.array([column.sublattice for column in motif], dtype=np.int8)[which]
    return positions[keep], sublattice[keep], cells[keep].astype(np.int32), which[keep]


def _rows(n_rows: int, row_shift: Floats | None) -> Floats:
    """Return where on the sample each row of the scan lies: (rows, 2), the y of the row and its offset in x."""
    rows = np.zeros((n_rows, 2))
    rows[:, 0] = np.arange(n_rows)
    if row_shift is not None:
        rows += row_shift
    return rows


def _expose(expected: Floats, noise: Noise, readout: float, rng: np.random.Generator) -> Image:
    image = rng.poisson(expected).astype(np.float64) if noise == "poisson" else expected.copy()
    if noise is not None and readout:
        image += rng.normal(0.0, readout, expected.shape)
    return image.astype(np.float32)


@kernel
def _draw(
    image: Floats, positions: Floats, amplitude: Floats, precision: Floats, reach: Floats, rows: Floats
) -> None:  # pragma: no cover - compiled
    height, width = image.shape
    slack = 1 + int(np.ceil(np.max(np.abs(rows[:, 0] - np.arange(height)))))
    for k in range(len(positions)):
        y, x = positions[k, 0], positions[k, 1]
        for row in range(max(0, int(y - reach[k]) - slack), min(height, int(y + reach[k]) + slack + 1)):
            dy = rows[row, 0] - y
            centre = x - rows[row, 1]
            for column in range(max(0, int(centre - reach[k])), min(width, int(centre + reach[k]) + 2)):
                dx = column - centre
                exponent = precision[k, 0] * dy * dy + 2.0 * precision[k, 1] * dy * dx + precision[k, 2] * dx * dx
                image[row, column] += amplitude[k] * np.exp(-0.5 * exponent)
