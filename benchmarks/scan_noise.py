"""Errors of displacements where the scan shifts rows: coverage, and how often zero is taken for a displacement.

    python benchmarks/scan_noise.py [--write docs/accuracy.md]

Simulated perovskites without any displacement, found and fitted by a run's own chain of analyses. Each row of the scan
is shifted along both axes by chance. Within the stated standard error should lie 68.3 % of the cells, and 5 % should be
beyond the ellipse that holds 95 %.
`--write` puts the table between the marks `<!-- scan_noise -->` and `<!-- /scan_noise -->` of a page.
"""

from __future__ import annotations

import argparse

import numpy as np
import pages

from stemdask import simulate
from stemdask.analyses import chain, registry
from stemdask.analyses.images.cells import displacement
from stemdask.model import ImageFrame, Step

JITTERS = (0.0, 0.15, 0.3, 0.5)
SIZE, SPACING, SEEDS = 512, 15.0, 8
CASES = {
    "rows of columns along the rows of the scan": (0.0, 2.6),
    "turned by 30°": (30.0, 2.6),
    "B narrower than A": (0.0, 2.0),
}


def measured(rotation: float, sigma_b: float, jitter: float, electrons: float, seed: int) -> tuple[np.ndarray, float]:
    """Return the displacements found over their errors (n, 2), and which part of them is said to be significant."""
    image, _ = simulate.perovskite(
        (SIZE, SIZE),
        SPACING,
        rotation=rotation,
        sigma_a=2.6,
        sigma_b=sigma_b,
        electrons_a=electrons,
        electrons_b=0.4 * electrons,
        row_shift=np.random.default_rng(seed).normal(0.0, jitter, (SIZE, 2)),
        seed=seed,
    )
    steps = [Step(name, registry.get("images", name).params()) for name in ("columns", "lattice", "displacement")]
    found = chain.analyse("images", steps, ImageFrame(0, image, (0.02, 0.02)))
    vector, error = (
        np.column_stack([found[variable.path] for variable in pair])
        for pair in ((displacement.U, displacement.V), (displacement.U_ERR, displacement.V_ERR))
    )
    return vector / error, float(np.mean(found[displacement.SIGNIFICANT.path] == 1))


def table() -> str:
    """Return the table of all cases."""
    lines = [
        f"Within the stated error / declared significant in {SEEDS} images of {SIZE}² px, by RMS shift of a row:",
        "",
        f"| case | electrons per A column | {' | '.join(f'{jitter:g} px' for jitter in JITTERS)} |",
        f"|---|---|{'---|' * len(JITTERS)}",
    ]
    for case, (rotation, sigma_b) in CASES.items():
        for electrons in (3_000.0, 100_000.0):
            cells = []
            for jitter in JITTERS:
                runs = [measured(rotation, sigma_b, jitter, electrons, seed) for seed in range(SEEDS)]
                pulls = np.concatenate([pull for pull, _ in runs])
                within, beyond = np.mean(np.abs(pulls) < 1.0), np.mean([part for _, part in runs])
                cells.append(f"{100 * within:.0f} % / {100 * beyond:.1f} %")
            lines.append(f"| {case} | {electrons:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pages.add_argument(parser)
    pages.put(table(), "scan_noise", parser.parse_args().write)


if __name__ == "__main__":
    main()
