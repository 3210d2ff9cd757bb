"""What the domains of each frame amount to: areas, mean polarisation, walls; a time series over the stack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemdask.kernels.images.domains.walls import find_walls
from stemdask.model import Array, Stack, Variable

PER_DOMAIN = ("fraction", "area", "mean_u", "mean_v", "mean_u_err", "mean_v_err")
PER_PAIR = ("wall_length", "wall_y", "wall_x")


def outputs() -> tuple[Variable, ...]:
    """Return the declared variables of the series."""

    def of_domain(name: str, units: str, long_name: str, error: str | None = None) -> Variable:
        dims = ("frame", "domain")
        return Variable(f"domains/{name}", dims, "float32", units, long_name, error, stage="finish")

    def of_pair(name: str, long_name: str) -> Variable:
        dims = ("frame", "domain", "other_domain")
        return Variable(f"domains/{name}", dims, "float32", "nm", long_name, stage="finish")

    return (
        of_domain("fraction", "1", "part of the cells of the frame that belong to the domain"),
        of_domain("area", "nm2", "area of the domain"),
        of_domain("mean_u", "pm", "mean measured displacement of the domain along +x", "domains/mean_u_err"),
        of_domain("mean_v", "pm", "mean measured displacement of the domain along +y (down)", "domains/mean_v_err"),
        of_domain("mean_u_err", "pm", "standard error of mean_u"),
        of_domain("mean_v_err", "pm", "standard error of mean_v"),
        of_pair("wall_length", "length of the walls between two domains"),
        of_pair("wall_y", "mean position of the walls between two domains along y"),
        of_pair("wall_x", "mean position of the walls between two domains along x"),
    )


class SeriesBlock:
    """The series of one block of frames, filled frame by frame."""

    def __init__(self, n_frames: int, n_domains: int) -> None:
        self.per_domain = {name: np.full((n_frames, n_domains), np.nan) for name in PER_DOMAIN}
        self.per_pair = {name: np.full((n_frames, n_domains, n_domains), np.nan) for name in PER_PAIR}

    def measure(
        self,
        frame: int,
        labels: NDArray[np.integer],
        bridged: NDArray[np.integer],
        raw: Array,
        raw_err: Array,
        positions: Array,
        vectors: Array,
    ) -> NDArray[np.bool_]:
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
        n_domains = self.per_domain["fraction"].shape[1]
        if not there.any():
            return np.zeros(labels.shape, dtype=bool)
        area = abs(float(np.linalg.det(vectors)))
        for domain in range(n_domains):
            members = (labels == domain) & there
            n = int(members.sum())
            self.per_domain["fraction"][frame, domain] = n / there.sum()
            self.per_domain["area"][frame, domain] = n * area
            if n == 0:
                continue
            for axis, name in enumerate("uv"):
                self.per_domain[f"mean_{name}"][frame, domain] = raw[axis][members].mean()
                error = np.sqrt(np.sum(raw_err[axis][members] ** 2)) / n
                self.per_domain[f"mean_{name}_err"][frame, domain] = error
        walls = find_walls(bridged, positions, n_domains, vectors)
        self.per_pair["wall_length"][frame] = walls.length
        self.per_pair["wall_y"][frame], self.per_pair["wall_x"][frame] = np.moveaxis(walls.position, -1, 0)
        return walls.at_wall

    def write(self, stack: Stack, frames: slice) -> None:
        """Write the block."""
        for name, array in {**self.per_domain, **self.per_pair}.items():
            stack.write(f"domains/{name}", array.astype(np.float32), frames)
