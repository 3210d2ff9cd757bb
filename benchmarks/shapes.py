"""What columns that aren't Gaussians do to displacements: the slope in opposite domains, the error of a uniform one.

    python benchmarks/shapes.py [--write docs/accuracy.md]

Columns are drawn with a halo (15 % of the height, 2.2 times as wide), with coma (0.3, a third-order term along x), or
with both. B is displaced by (0.6, 0.3) px, to opposite sides in the two halves of the image or everywhere alike; the
columns are found and fitted as in a run. The slope is that of the found against the true displacements (1 is right). A
uniform displacement and an asymmetric shape can hardly be told apart: its error is a part of the displacement's length.
`--write` puts the table between the marks `<!-- shapes -->` and `<!-- /shapes -->` of a page.
"""

from __future__ import annotations

import argparse

import numpy as np
import pages
from scipy.spatial import cKDTree

from stemdask.kernels.images.finding.columns import MAX_SUBLATTICES, find_columns
from stemdask.kernels.images.fitting.joint_fit import fit_joint

WIDTH, SIZE, PEAK, SEEDS = 2.6, 300, 1000.0, 3
SHIFT = np.array([0.3, 0.6])
SHAPES = {"Gaussians": (0.0, 0.0), "halo": (0.15, 0.0), "coma": (0.0, 0.3), "halo and coma": (0.15, 0.3)}


def drawn(places: np.ndarray, heights: np.ndarray, halo: float, coma: float) -> np.ndarray:
    """Return the image of columns (n, 2) of heights (n,) over a background of 0.02."""
    image, reach = np.full((SIZE, SIZE), 0.02), round(6 * WIDTH * (2.2 if halo else 1.0))
    for place, height in zip(places, heights, strict=True):
        low = np.maximum(place.astype(int) - reach, 0)
        high = np.minimum(place.astype(int) + reach + 1, SIZE)
        if (high <= low).any():
            continue
        y, x = np.mgrid[low[0] : high[0], low[1] : high[1]]
        dy, dx = (y - place[0]) / WIDTH, (x - place[1]) / WIDTH
        distance2 = dy**2 + dx**2
        core = np.exp(-0.5 * distance2) * (1.0 + coma * dx * (distance2 - 4.0) / 6.0)
        wide = np.exp(-0.5 * distance2 / 2.2**2) / 2.2**2
        image[low[0] : high[0], low[1] : high[1]] += height * ((1.0 - halo) * core + halo * wide)
    return image


def displacements(
    apart: float, halo: float, coma: float, *, opposite: bool, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the displacements found and the true ones (n, 2), px, of cells away from the border."""
    spacing, angle = apart * WIDTH * np.sqrt(2.0), np.deg2rad(7.0 + 5.0 * seed)
    turn = spacing * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    steps = np.stack(np.meshgrid(*[np.arange(-40, 41)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    a, centre = steps @ turn + SIZE / 2, (steps + 0.5) @ turn + SIZE / 2
    true = SHIFT * np.where(opposite & (centre[:, 1] < SIZE / 2), -1.0, 1.0)[:, None]
    heights = np.repeat([1.0, 0.4], [len(a), len(centre)])
    image = drawn(np.concatenate([a, centre + true]), heights, halo, coma)
    image = np.random.default_rng(seed).poisson(PEAK * np.clip(image, 0.0, None)).astype(np.float32)
    found = find_columns(image)
    fit = fit_joint(
        image,
        np.concatenate([found.positions, found.ghosts]),
        np.concatenate([found.sublattice, found.ghost_sublattice]),
        np.repeat(found.widths, MAX_SUBLATTICES),
        held=np.repeat([False, True], [len(found.positions), len(found.ghosts)]),
    )
    n = len(found.positions)
    of_a, of_b = (fit.positions[:n][fit.good[:n] & (found.sublattice == s)] for s in (0, 1))
    distance, around = cKDTree(of_a).query(of_b, k=4)
    whole = (distance[:, 3] < 1.3 * np.median(distance)) & ((of_b > 30) & (of_b < SIZE - 30)).all(axis=1)
    vector = of_b[whole] - of_a[around[whole]].mean(axis=1)
    _, cell = cKDTree(centre).query(of_b[whole] - vector)
    return vector, true[cell]


def table() -> str:
    """Return the table of all shapes and distances."""
    distances = (3.3, 3.8, 4.2, 4.7)
    lines = [
        f"| | {' | '.join(f'{apart} widths: slope | uniform' for apart in distances)} |",
        "|---|" + "---|---|" * len(distances),
    ]
    for name, (halo, coma) in SHAPES.items():
        cells = []
        for apart in distances:
            pairs = [displacements(apart, halo, coma, opposite=True, seed=s) for s in range(SEEDS)]
            found, true = map(np.concatenate, zip(*pairs, strict=True))
            slope = float(np.vdot(found - found.mean(axis=0), true) / np.vdot(true - true.mean(axis=0), true))
            pairs = [displacements(apart, halo, coma, opposite=False, seed=s) for s in range(SEEDS)]
            wrong = np.mean([np.hypot(*(found - true).mean(axis=0)) for found, true in pairs])
            cells.append(f"{slope:.3f} | {100.0 * wrong / np.hypot(*SHIFT):.1f} %")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pages.add_argument(parser)
    pages.put(table(), "shapes", parser.parse_args().write)


if __name__ == "__main__":
    main()
