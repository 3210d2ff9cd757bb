"""What light that the model doesn't know does to the displacements of all columns: slopes and coverage.

    python benchmarks/unmodelled.py [--write docs/accuracy.md]

A simulated perovskite whose B columns are displaced in waves; in each case something is in the image of which the
joint fit isn't told. In a run it knows the site of every column that wasn't found, and holds it. The slope is that of
the found against the true displacements of all cells (1 is right), the coverage the part of them within the stated
standard error (68.3 % is right).
`--write` puts the table between the marks `<!-- unmodelled -->` and `<!-- /unmodelled -->` of a page.
"""

from __future__ import annotations

import argparse

import numpy as np
import pages
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from stemdask import simulate
from stemdask.kernels.images.fitting.joint_fit import fit_joint

CASES = (
    "nothing",
    "a column in the middle",
    "a column in the corner",
    "3 % of the columns",
    "3 % of the columns, whose sites are known",
    "a spot as wide as 0.3 distances",
    "a spot as wide as 0.5 distances",
    "a spot as wide as 1 distance",
    "six spots as wide as 1 to 3 distances",
)
WIDTH, SIZE, PEAK, SEEDS = 2.6, 200, 1000.0, 6


def measured(case: str, apart: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the displacements found (n, 2), the true ones and the stated errors, px; columns `apart` widths apart."""
    spacing, random = apart * WIDTH * np.sqrt(2.0), np.random.default_rng(seed)
    electrons = PEAK * 2.0 * np.pi * WIDTH**2

    def displacement(place: np.ndarray) -> np.ndarray:
        waves = np.sin(2 * np.pi * place[:, 1] / 90 + seed), np.cos(2 * np.pi * place[:, 0] / 70)
        return 0.5 * np.stack(waves, axis=1)

    image, truth = simulate.perovskite(
        (SIZE, SIZE),
        spacing,
        rotation=7.0 + 3.0 * seed,
        sigma_a=WIDTH,
        sigma_b=WIDTH,
        electrons_a=electrons,
        electrons_b=0.4 * electrons,
        background=20.0,
        displacement=displacement,
        margin=25.0,
        seed=seed,
    )
    place, kind = truth.positions, truth.sublattice
    known = np.ones(len(place), bool)
    inside = np.flatnonzero(((place > 5) & (place < SIZE - 5)).all(axis=1))
    if "middle" in case:
        known[np.argmin(np.hypot(*(place - SIZE / 2).T))] = False
    elif "corner" in case:
        known[np.argmin(np.hypot(*(place - 3).T))] = False
    elif "columns" in case:
        known[random.choice(inside[kind[inside] == 1], round(0.03 * len(inside)), replace=False)] = False
    elif "spot" in case:
        y, x = np.indices(image.shape)
        spots = [(0.4 * SIZE, 0.55 * SIZE, float(case.split()[-2]) * spacing, 0.3)]
        if "six" in case:
            spots = [
                (*random.uniform(0, SIZE, 2), random.uniform(1, 3) * spacing, random.uniform(0.1, 0.5))
                for _ in "123456"
            ]
        for top, left, wide, high in spots:
            distance2 = (y - top) ** 2 + (x - left) ** 2
            image = image + random.poisson(high * PEAK * np.exp(-0.5 * distance2 / wide**2))
    held = ~known if "sites are known" in case else np.zeros(len(place), bool)
    place, kind, held = (values[known | held] for values in (place, kind, held))
    start = place + np.where(held[:, None], 0.0, random.normal(0, 0.3, place.shape))
    fit = fit_joint(image.astype(np.float32), start, kind, WIDTH, held=held)
    a, b = (np.flatnonzero((kind == k) & fit.good & ~held) for k in (0, 1))
    distance, index = cKDTree(fit.positions[a]).query(fit.positions[b], k=4)
    whole = (distance[:, 3] < 1.25 * spacing / np.sqrt(2.0)) & ((place[b] > spacing) & (place[b] < SIZE - spacing)).all(
        1
    )
    b, around = b[whole], a[index[whole]]
    n = len(b)
    rows, columns = np.repeat(np.arange(n), 5), np.column_stack([b, around]).ravel()
    weights = csr_array((np.tile([1.0, *[-0.25] * 4], n), (rows, columns)), shape=(n, len(place)))
    error = np.sqrt(fit.covariance.of_sums(weights)[:, [0, 1], [0, 1]])
    return weights @ fit.positions, weights @ place, error


def table() -> str:
    """Return the table of all cases."""
    lines = [
        "| unmodelled | 4.2 widths apart: slope | coverage | 3.5 widths apart: slope | coverage |",
        "|---|---|---|---|---|",
    ]
    for case in CASES:
        cells = []
        for apart in (4.2, 3.5):
            found, true, error = map(
                np.concatenate, zip(*(measured(case, apart, s) for s in range(SEEDS)), strict=True)
            )
            known = np.isfinite(error)
            (slope, _), covariance = np.polyfit(true.ravel(), found.ravel(), 1, cov=True)
            coverage = 100.0 * np.mean(np.abs(found - true)[known] < error[known])
            cells += [f"{slope:.3f} ± {np.sqrt(covariance[0, 0]):.3f}", f"{coverage:.0f} %"]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pages.add_argument(parser)
    pages.put(table(), "unmodelled", parser.parse_args().write)


if __name__ == "__main__":
    main()
