"""Whether the mean of displacements is known as well as is said: its error beside `u_sys` and `v_sys`.

    python benchmarks/mean_displacement.py [--write docs/accuracy.md]

Simulated perovskites whose B are all displaced alike, of columns with a shape: a halo 2.2 times as wide, coma, both,
and shapes drawn by chance from a family that is wider than any that a fit or the systematic error knows (kurtosis,
coma, trefoil, a further radial term and a halo at once). A run's own chain of analyses finds and fits them.
`--write` puts the table between the marks `<!-- mean_displacement -->` and `<!-- /mean_displacement -->` of a page.
"""

from __future__ import annotations

import argparse

import numpy as np
import pages

from stemdask.analyses import chain, registry
from stemdask.analyses.images.cells import displacement
from stemdask.model import ImageFrame, Step

SIZE, WIDTH, RATIO, PEAK, HALO = 180, 2.6, 0.4, 2000.0, 2.2
SHAPES, SEEDS = ("Gaussians", "halo", "coma", "halo and coma", "by chance"), 6
DISTANCES = (3.3, 3.8, 4.7)


def deviation(shape: str, rng: np.random.Generator) -> tuple[dict[str, float], float]:
    """Return the terms of a shape and the height of its halo."""
    angle, other = rng.uniform(0.0, 2.0 * np.pi, 2)
    coma = {"coma y": 0.05 * np.sin(angle), "coma x": 0.05 * np.cos(angle)}
    if shape == "by chance":
        trefoil = {"trefoil y": 0.015 * np.sin(other), "trefoil x": 0.015 * np.cos(other)}
        radial = {"kurtosis": rng.uniform(-0.2, 0.2), "sixth": rng.uniform(-0.1, 0.1)}
        return coma | trefoil | radial, rng.uniform(0.0, 0.15)
    return (coma if "coma" in shape else {}), (0.15 if "halo" in shape else 0.0)


def column(y: np.ndarray, x: np.ndarray, terms: dict[str, float], halo: float) -> np.ndarray:
    """Return a column of height 1, lengths in widths."""
    r2 = y * y + x * x
    of = {
        "kurtosis": (r2**2 - 8.0 * r2 + 8.0) / 8.0,
        "coma y": y * (r2 - 4.0),
        "coma x": x * (r2 - 4.0),
        "trefoil y": 0.5 * (3.0 * x * x * y - y**3),
        "trefoil x": 0.5 * (x**3 - 3.0 * x * y * y),
        "sixth": (r2**3 - 18.0 * r2**2 + 72.0 * r2 - 48.0) / 48.0,
    }
    core = np.exp(-0.5 * r2) * (1.0 + sum(value * of[name] for name, value in terms.items()))
    return core + halo * np.exp(-0.5 * r2 / HALO**2) / HALO**2


def measured(shape: str, apart: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the error of the mean displacement (u, v), what is said of it, and the noise of the mean, px."""
    rng = np.random.default_rng(100 * seed + round(10 * apart))
    spacing, angle, true = apart * WIDTH * np.sqrt(2.0), rng.uniform(0.0, 1.5), rng.uniform(-0.6, 0.6, 2)
    terms, halo = deviation(shape, rng)
    turn = spacing * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    steps = np.stack(np.meshgrid(*[np.arange(-30, 31)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    image, reach = np.full((SIZE, SIZE), 0.03), round(7.0 * WIDTH * (1.6 if halo else 1.0))
    for height, places in ((1.0, steps @ turn), (RATIO, (steps + 0.5) @ turn + true)):
        for place in places + SIZE / 2:
            low = np.maximum(place.astype(int) - reach, 0)
            high = np.minimum(place.astype(int) + reach + 1, SIZE)
            if (high > low).all():
                y, x = np.mgrid[low[0] : high[0], low[1] : high[1]]
                of = column((y - place[0]) / WIDTH, (x - place[1]) / WIDTH, terms, halo)
                image[low[0] : high[0], low[1] : high[1]] += height * of
    frame = ImageFrame(0, rng.poisson(PEAK * np.clip(image, 0.0, None)).astype(np.float32), (1e-3, 1e-3))
    steps_of_a_run = [
        Step(name, registry.get("images", name).params()) for name in ("columns", "lattice", "displacement")
    ]
    found = chain.analyse("images", steps_of_a_run, frame)
    mean = np.array([np.mean(found[variable.path]) for variable in (displacement.U, displacement.V)])
    errors = [found[variable.path] for variable in (displacement.U_ERR, displacement.V_ERR)]
    noise = np.array([np.sqrt(np.mean(error**2) / len(error)) for error in errors])
    shared = np.array([float(found[variable.path]) for variable in (displacement.U_SYS, displacement.V_SYS)])
    return mean - true[::-1], shared, noise


def table() -> str:
    """Return the table of all shapes and distances."""
    lines = [
        "RMS error of the mean / RMS of u_sys and v_sys, px, and the fraction of images in which the error is below "
        "twice these and the noise of the mean combined "
        f"({SEEDS} images each):",
        "",
        f"| shape | {' | '.join(f'{apart} widths' for apart in DISTANCES)} |",
        f"|---|{'---|' * len(DISTANCES)}",
    ]
    within = []
    for shape in SHAPES:
        cells = []
        for apart in DISTANCES:
            runs = [measured(shape, apart, seed) for seed in range(SEEDS)]
            error, said, noise = (np.concatenate(part) for part in zip(*runs, strict=True))
            within.append(np.abs(error) < 2.0 * np.hypot(said, noise))
            rms = " / ".join(f"{np.sqrt(np.mean(values**2)):.3f}" for values in (error, said))
            cells.append(f"{rms}, {100 * within[-1].mean():.0f} %")
        lines.append(f"| {shape} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Within twice: {100 * np.concatenate(within).mean():.0f} % of all."])


def main() -> None:
    """Print the table, and write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pages.add_argument(parser)
    pages.put(table(), "mean_displacement", parser.parse_args().write)


if __name__ == "__main__":
    main()
