"""Columns measured by atomap, as a reference for the native engine.

atomap fits the sublattices one after the other, brightest first, each in the image less the Gaussians of those before.
It gives no standard errors; where columns overlap, its displacements are too large (by 3 % where A and B are 4.7 widths
apart, 20 to 25 % at 3.8, 85 % at 3.3).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.arrays import Codes, Floats
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL, OK, ColumnFit
from stemdask.kernels.images.fitting.noise import Noise


def measure(image: NDArray[np.floating[Any]], positions: Floats, sublattice: Codes) -> ColumnFit:
    """Refine columns by centre of mass and a 2D Gaussian each, as in atomap's tutorials.

    Parameters
    ----------
    image
        (ny, nx); missing pixels are set to the lowest value.
    positions
        (n, 2), px, (y, x).
    sublattice
        (n,), 0 = the brightest.

    Returns
    -------
    ColumnFit
        In the order given, without errors; a column that atomap doesn't fit keeps its centre of mass and is flagged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports use what scipy and hyperspy are about to drop
        import atomap.api as am
        from atomap.tools import remove_atoms_from_image_using_2d_gaussian

    n = len(positions)
    left = np.nan_to_num(np.asarray(image, np.float64), nan=float(np.nanmin(image)))
    found, widths = np.array(positions, np.float64), np.full((n, 2), np.nan)
    rotation, amplitude = np.full(n, np.nan), np.full(n, np.nan)
    numbers = np.unique(sublattice)
    for number in numbers:
        of = np.flatnonzero(sublattice == number)
        fitted = am.Sublattice(positions[of][:, ::-1].tolist(), left)
        fitted.find_nearest_neighbors()
        fitted.refine_atom_positions_using_center_of_mass(show_progressbar=False)
        fitted.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
        for k, atom in zip(of, fitted.atom_list, strict=True):
            found[k] = atom.pixel_y, atom.pixel_x
            if atom.amplitude_gaussian:
                amplitude[k], widths[k] = atom.amplitude_gaussian, (atom.sigma_x, atom.sigma_y)
                rotation[k] = atom.rotation
        if number != numbers[-1]:
            left = remove_atoms_from_image_using_2d_gaussian(left, fitted, show_progressbar=False)
    # The major axis is x or y of atomap's own axes, which are turned counter-clockwise as displayed.
    tall = widths[:, 1] > widths[:, 0]
    unknown = np.full(n, np.nan)
    return ColumnFit(
        positions=found,
        errors=np.full((n, 2), np.nan),
        amplitude=amplitude,
        amplitude_err=unknown,
        sigma_major=widths.max(axis=1),
        sigma_minor=widths.min(axis=1),
        rotation=np.where(tall, rotation + np.pi / 2, rotation),
        background=unknown,
        reduced_chi2=unknown,
        flag=np.where(np.isfinite(amplitude), OK, NO_SIGNAL).astype(np.int8),
        noise=Noise(0.0, np.nan),
        iterations=0,
        sublattice=np.asarray(sublattice, np.int8),
    )
