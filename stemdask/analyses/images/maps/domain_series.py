"""What the domains of each frame amount to: areas, mean polarisation, walls; a time series over the stack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.arrays import Booleans
from stemdask.kernels.images.domains.walls import find_walls
from stemdask.model import Array, Stack, Variable


def _of_domain(name: str, units: str, long_name: str, error: str | None = None) -> Variable:
    return Variable(f"domains/{name}", ("frame", "domain"), "float32", units, long_name, error, stage="finish")


def _of_pair(name: str, long_name: str) -> Variable:
    dims = ("frame", "domain", "other_domain")
    return Variable(f"domains/{name}", dims, "float32", "nm", long_name, stage="finish")


FRACTION = _of_domain("fraction", "1", "part of the cells of the frame that belong to the domain")
AREA = _of_domain("area", "nm^2", "area of the domain")
MEAN_U = _of_domain("mean_u", "pm", "mean measured displacement of the domain along +x", "domains/mean_u_err")
MEAN_V = _of_domain("mean_v", "pm", "mean measured displacement of the domain along +y (down)", "domains/mean_v_err")
MEAN_U_ERR = _of_domain("mean_u_err", "pm", "standard error of mean_u")
MEAN_V_ERR = _of_domain("mean_v_err", "pm", "standard error of mean_v")
WALL_LENGTH = _of_pair("wall_length", "length of the walls between two domains")
WALL_Y = _of_pair("wall_y", "mean position of the walls between two domains along y")
WALL_X = _of_pair("wall_x", "mean position of the walls between two domains along x")
_MEANS = ((MEAN_U, MEAN_U_ERR), (MEAN_V, MEAN_V_ERR))
_PER_DOMAIN = (FRACTION, AREA, MEAN_U, MEAN_V, MEAN_U_ERR, MEAN_V_ERR)
_PER_PAIR = (WALL_LENGTH, WALL_Y, WALL_X)
SERIES = _PER_DOMAIN + _PER_PAIR


class SeriesBlock:
    """The series of one block of frames, filled frame by frame."""

    def __init__(self, n_frames: int, n_domains: int) -> None:
        self._per_domain = {variable: np.full((n_frames, n_domains), np.nan) for variable in _PER_DOMAIN}
        self._per_pair = {variable: np.full((n_frames, n_domains, n_domains), np.nan) for variable in _PER_PAIR}

    def measure(
        self,
        frame: int,
        labels: NDArray[np.integer],
        bridged: NDArray[np.integer],
        raw: Array,
        raw_err: Array,
        positions: Array,
        vectors: Array,
    ) -> Booleans:
        """Measure one frame.

        Parameters
        ----------
        frame
            Its number in the block.
        labels
            (row, column), -1 where a cell belongs to none.
        bridged
            (row, column), labels between which walls run.
        raw, raw_err
            (2, row, column), pm: displacements as measured, because denoised ones shrink, and their errors.
        positions
            (row, column, 2), nm; NaN where there is no cell.
        vectors
            (2, 2), nm: lattice vectors a and b as rows, (y, x).

        Returns
        -------
        (row, column), the cells at a wall.
        """
        there = np.isfinite(raw).all(axis=0)
        n_domains = self._per_domain[FRACTION].shape[1]
        if not there.any():
            return np.zeros(labels.shape, dtype=bool)
        area = abs(float(np.linalg.det(vectors)))
        for domain in range(n_domains):
            members = (labels == domain) & there
            n = int(members.sum())
            self._per_domain[FRACTION][frame, domain] = n / there.sum()
            self._per_domain[AREA][frame, domain] = n * area
            if n == 0:
                continue
            for axis, (mean, error) in enumerate(_MEANS):
                self._per_domain[mean][frame, domain] = raw[axis][members].mean()
                self._per_domain[error][frame, domain] = np.sqrt(np.sum(raw_err[axis][members] ** 2)) / n
        walls = find_walls(bridged, positions, n_domains, vectors)
        self._per_pair[WALL_LENGTH][frame] = walls.length
        self._per_pair[WALL_Y][frame], self._per_pair[WALL_X][frame] = np.moveaxis(walls.position, -1, 0)
        return walls.at_wall

    def write(self, stack: Stack, frames: slice) -> None:
        """Write the block."""
        for variable, array in (self._per_domain | self._per_pair).items():
            stack.write(variable.path, array.astype(np.float32), frames)
