"""Stacks in memory, and simulated displacement maps whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class MemoryStack:
    """The results of a run, held in memory; remembers the largest read."""

    results: dict[str, Array]
    n_frames: int
    block: int = 16
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    largest_read: int = 0
    calibrated: bool = True

    @property
    def blocks(self) -> list[slice]:
        return [slice(k, min(k + self.block, self.n_frames)) for k in range(0, self.n_frames, self.block)]

    def read(self, path: str, frames: slice = slice(None)) -> Array:
        found = np.array(self.results[path][frames])
        self.largest_read = max(self.largest_read, found.nbytes)
        return found

    def has(self, path: str) -> bool:
        return path in self.results

    def units(self, variable: Any) -> str:
        return {"pm": "millipixel"}.get(variable.units, variable.units) if not self.calibrated else variable.units

    def frame(self, index: int) -> Any:
        pytest.fail(f"maps are made of displacements, not of the pixels of frame {index}")

    def write(self, path: str, values: Array, frames: slice | None = None) -> None:
        if frames is None:
            self.results[path] = np.array(values)
            return
        if path not in self.results or frames.start == 0:
            self.results[path] = np.zeros((self.n_frames, *values.shape[1:]), dtype=values.dtype)
        self.results[path][frames] = values

    def set_attributes(self, group: str, attributes: Mapping[str, Any]) -> None:
        self.attributes.setdefault(group, {}).update(attributes)

    def write_file(self, path: str, content: bytes) -> None:
        Path(path).write_bytes(content)


@dataclass(frozen=True)
class Simulated:
    """Maps (frame, 2, row, column) of u and v in pm, and the domain of every cell."""

    truth: Array
    noisy: Array
    sigma: float
    domain: Array

    def stack(self, block: int = 16, missing: float = 0.0, seed: int = 5) -> MemoryStack:
        """Scatter the maps to cells in an order of their own in every frame, padded; some may be missing."""
        n, _, rows, columns = self.noisy.shape
        random = np.random.default_rng(seed)
        capacity = rows * columns + 7
        spacing = 0.4
        names = ("y", "x", "u", "v", "u_err", "v_err")
        results: dict[str, Array] = {f"displacement/{name}": np.full((n, capacity), np.nan) for name in names}
        results |= {f"displacement/{name}": np.full((n, capacity), -1, dtype=np.int32) for name in "ij"}
        results["displacement/significant"] = np.full((n, capacity), -1, dtype=np.int8)
        row, column = np.indices((rows, columns)).reshape(2, -1)
        for frame in range(n):
            order = random.permutation(rows * columns)
            order = order[random.random(len(order)) >= missing]
            u, v = self.noisy[frame].reshape(2, -1)[:, order]
            values = {
                "i": column[order], "j": row[order], "y": spacing * row[order], "x": spacing * column[order],
                "u": u, "v": v, "u_err": self.sigma, "v_err": self.sigma,
                "significant": (u**2 + v**2) > 9.21 * self.sigma**2,
            }  # fmt: skip
            for name, array in values.items():
                results[f"displacement/{name}"][frame, : len(order)] = array
        for name, value in (("a_y", 0.0), ("a_x", spacing), ("b_y", spacing), ("b_x", 0.0)):
            results[f"lattice/{name}"] = np.full(n, value)
        return MemoryStack(results, n, block)

    def on_grid(self, stack: MemoryStack, path: str) -> Array:
        """Lay a result (frame, cell) on the grid again."""
        n, _, rows, columns = self.noisy.shape
        laid = np.full((n, rows, columns), np.nan)
        for frame in range(n):
            there = np.isfinite(stack.results["displacement/y"][frame])
            i, j = (stack.results[f"displacement/{name}"][frame, there] for name in "ij")
            laid[frame, j, i] = stack.results[path][frame, there]
        return laid


def simulated_maps(
    kind: str, frames: int, *, size: int = 24, shift: float = 15.0, sigma: float = 15.0, moving: bool = True,
    seed: int = 0,
) -> Simulated:  # fmt: skip
    """Return maps with a 180° wall, a 90° wall, a vortex, four closure domains, one domain, or noise; walls wander."""
    row, column = np.indices((size, size))
    truth = np.zeros((frames, 2, size, size))
    domain = np.zeros((frames, size, size), dtype=int)
    for frame in range(frames):
        phase = frame / max(frames - 1, 1) if moving else 0.5
        beyond = column + 0.3 * (row - size / 2) > size * (0.35 + 0.3 * phase)
        domain[frame] = beyond
        if kind == "180":
            truth[frame, 0] = np.where(beyond, shift, -shift)
        elif kind == "90":
            truth[frame, 0], truth[frame, 1] = np.where(beyond, shift, 0), np.where(beyond, 0, shift)
        elif kind == "uniform":
            truth[frame], domain[frame] = shift, 0
        elif kind == "vortex":
            y, x = row - size / 2 + 0.5 - 3 * phase, column - size / 2 + 0.5 - 2 * phase
            length = np.hypot(y, x) + 1e-9
            truth[frame] = shift * np.array([-y / length, x / length])
        elif kind == "closure":
            y, x = row - size / 2 + 0.5 - 3 * phase, column - size / 2 + 0.5 - 2 * phase
            domain[frame] = ((np.degrees(np.arctan2(-y, x)) + 45) % 360) // 90
            turned = np.radians(90 * (domain[frame] + 1))
            truth[frame] = shift * np.array([np.cos(turned), -np.sin(turned)])
    noise = sigma * np.random.default_rng(seed).standard_normal(truth.shape)
    return Simulated(truth, truth + noise, sigma, domain)


@pytest.fixture(scope="session")
def simulate() -> Callable[..., Simulated]:
    return simulated_maps


@pytest.fixture(scope="session")
def memory_stack() -> type[MemoryStack]:
    return MemoryStack
