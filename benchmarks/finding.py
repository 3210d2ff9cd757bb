"""Recall and precision of finding columns with no number from the user, on images whose columns are known.

    python benchmarks/finding.py [--multislice FOLDER] [--write docs/accuracy.md]

Each figure is the worst of four rotations (0, 12, 45 and 78 degrees). A column counts as found within 0.3 of the
shortest distance of columns; columns nearer to the border than 0.8 of it don't count. `--write` puts the tables between
the marks `<!-- finding -->` and `<!-- /finding -->` of a page.

`--multislice` adds a table of simulated images: each file `<name>.npz` of the folder holds `image` (phonons, ny, nx),
the image of one periodic cell for each configuration of frozen phonons, `truth` (phonons, columns, 2), px, (y, x), and
`visible` (columns,). Cells of different configurations, drawn at random, are laid side by side: columns are as uneven
as few phonons make them, and no period of cells is added.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pages
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from stemdask.kernels.images.finding.columns import find_columns
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.simulate import Truth, perovskite

ROTATIONS = (0.0, 12.0, 45.0, 78.0)
SPACINGS = (6.0, 8.0, 14.0, 24.0, 40.0, 60.0)
RATIOS = (1.0, 1.2, 2.0, 5.0, 10.0, 20.0)
DOSES = (100.0, 300.0, 1000.0, 3000.0, 10000.0, 100000.0)
#: Electrons in the brightest pixel of a multislice image, and cells along y and x.
MULTISLICE = (300.0, 3000.0, 30000.0)
TILES = (5, 6)


def crystal(
    spacing: float, rotation: float, electrons: float, ratio: float, **more: object
) -> tuple[np.ndarray, Truth]:
    """Draw a perovskite whose columns are 0.18 of the spacing wide, over a background of a tenth of the A columns."""
    side = int(np.clip(16 * spacing, 200, 800))
    sigma = 0.18 * spacing
    return perovskite(
        (side, side + 11),
        spacing,
        rotation=rotation,
        sigma_a=sigma,
        sigma_b=sigma,
        electrons_a=electrons,
        electrons_b=electrons / ratio,
        background=0.1 * electrons / (2 * np.pi * sigma**2),
        seed=int(rotation),
        **more,  # type: ignore[arg-type]
    )


def score(image: np.ndarray, truth: Truth) -> tuple[float, float]:
    """Return (recall, precision)."""
    return score_at(image, truth.positions)


def score_at(image: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Return (recall, precision) for columns at true positions (n, 2), px."""
    try:
        found = find_columns(image)
    except NoLatticeError:
        return 0.0, 1.0
    margin = 0.8 * found.distance
    inner = ((true >= margin) & (true <= np.array(image.shape) - 1 - margin)).all(axis=1)
    recall = cKDTree(found.positions).query(true[inner])[0] < 0.3 * found.distance
    precision = cKDTree(true).query(found.positions)[0] < 0.3 * found.distance
    return float(recall.mean()), float(precision.mean())


def worst(draw: Callable[[float], tuple[np.ndarray, Truth]]) -> str:
    """Worst recall and precision over the rotations, as a cell of the table."""
    scores = np.array([score(*draw(rotation)) for rotation in ROTATIONS])
    return " / ".join(f"{value:.3f}" for value in np.floor(scores.min(axis=0) * 1000) / 1000)


def disturbed() -> Iterator[tuple[str, Callable[[float], tuple[np.ndarray, Truth]]]]:
    """Name disturbances of a crystal of 14 px, 10,000 electrons per A column and A:B of 2.5, and draw them."""
    side = 224
    rows, columns = np.indices((side, side + 11))
    common = (14.0, 1e4, 2.5)

    def draw(**more: object) -> Callable[[float], tuple[np.ndarray, Truth]]:
        return lambda rotation: crystal(common[0], rotation, common[1], common[2], **more)

    yield "5 % of the columns missing", draw(missing=0.05)
    yield "brightness × 4 from left to right", draw(gradient=3.0)
    yield "a round particle in vacuum", draw(vacuum=np.hypot(rows - 110, columns - 120) > 85)
    yield "half of the image amorphous", lambda rotation: amorphous_half(rotation, columns > 120)
    jitter = np.random.default_rng(1).normal(0, 0.4, (side, 2))
    yield "scan lines off by 0.4 px (RMS)", draw(row_shift=jitter)
    drift = np.stack([0.01 * rows[:, 0], 0.03 * rows[:, 0]], axis=1)
    yield "drift of 3 px in 100 lines", lambda rotation: drifted(rotation, drift)
    yield "1 % of the pixels missing", holed


def amorphous_half(rotation: float, film: np.ndarray) -> tuple[np.ndarray, Truth]:
    """Crystal beside a film with the graininess of amorphous carbon."""
    image, truth = crystal(14.0, rotation, 1e4, 2.5, vacuum=film)
    rng = np.random.default_rng(0)
    speckle = gaussian_filter(rng.normal(size=image.shape), 2.5)
    level = float(image[~film].mean())
    grains = rng.poisson(np.clip(level * (1 + 0.5 * speckle / speckle.std()), 0, None))
    return (image + np.where(film, grains, 0)).astype(np.float32), truth


def drifted(rotation: float, drift: np.ndarray) -> tuple[np.ndarray, Truth]:
    """Crystal that moves during the scan; the columns of the truth move with it."""
    image, truth = crystal(14.0, rotation, 1e4, 2.5, row_shift=drift)
    positions = truth.positions.copy()
    for _ in range(10):  # the row at which a column is met depends on how far it has drifted by then
        row = np.clip(np.round(positions[:, 0]), 0, len(drift) - 1).astype(int)
        positions = truth.positions - drift[row]
    object.__setattr__(truth, "positions", positions)
    return image, truth


def holed(rotation: float) -> tuple[np.ndarray, Truth]:
    """Crystal with missing pixels at random."""
    image, truth = crystal(14.0, rotation, 1e4, 2.5)
    image[np.random.default_rng(0).random(image.shape) < 0.01] = np.nan
    return image, truth


def patchwork(path: Path, electrons: float, jitter: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay cells of different phonons side by side; return counts and true positions, (n, 2), px.

    The brightest pixel has `electrons`; `jitter` is the RMS shift of a scan line in px.
    """
    with np.load(path) as file:
        cells, places = file["image"], file["truth"][:, file["visible"]]
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(cells), size=TILES)
    image = np.block([[cells[k] for k in row] for row in chosen]).astype(float)
    corners = np.indices(TILES).reshape(2, -1).T * cells.shape[1:]
    truth = (places[chosen.ravel()] + corners[:, None]).reshape(-1, 2)
    wave = np.exp(-2j * np.pi * np.fft.rfftfreq(image.shape[1]) * rng.normal(0.0, jitter, (len(image), 1)))
    image = np.fft.irfft(np.fft.rfft(image, axis=1) * wave, image.shape[1], axis=1)
    counts = rng.poisson(electrons * (np.clip(image / image.max(), 0.0, None) + 0.03))
    return counts.astype(np.float32), truth


def multislice(folder: Path) -> list[str]:
    """Return the table of multislice images, line by line."""
    lines = [
        "",
        "Multislice images of one pair of phonon configurations, by electrons in the brightest pixel: worst of four"
        " draws, two with scan lines off by 0.5 px (RMS):",
    ]
    lines += ["", "| | " + " | ".join(f"{dose:g}" for dose in MULTISLICE) + " |", "|---" * (len(MULTISLICE) + 1) + "|"]
    for path in sorted(folder.glob("*.npz")):
        cells = []
        for dose in MULTISLICE:
            draws = [patchwork(path, dose, jitter, seed) for jitter in (0.0, 0.5) for seed in range(2)]
            worst_of = np.floor(np.min([score_at(*draw) for draw in draws], axis=0) * 1000) / 1000
            cells.append(f"{worst_of[0]:.3f} / {worst_of[1]:.3f}")
        lines.append(f"| {path.stem} | " + " | ".join(cells) + " |")
    return lines


def tables(images: Path | None) -> str:
    """Return the tables as Markdown; that of multislice images where there is a folder of them."""
    lines = [
        "Lowest recall / precision for four rotations (0, 12, 45, 78°), without any parameter from the user"
        " (`python benchmarks/finding.py`).",
        "",
        "Spacing of the A columns (across) and intensity ratio A:B (down), 100,000 electrons per A column:",
        "",
        "| A:B | " + " | ".join(f"{spacing:g} px" for spacing in SPACINGS) + " |",
        "|---" * (len(SPACINGS) + 1) + "|",
    ]
    for ratio in RATIOS:
        cells = [worst(lambda turn, s=spacing, r=ratio: crystal(s, turn, 1e5, r)) for spacing in SPACINGS]  # type: ignore[misc]
        lines.append(f"| {ratio:g} | " + " | ".join(cells) + " |")
    lines += ["", "Electrons per A column (across) and A:B (down), spacing 14 px:", ""]
    lines += ["| A:B | " + " | ".join(f"{dose:g}" for dose in DOSES) + " |", "|---" * (len(DOSES) + 1) + "|"]
    for ratio in (2.0, 5.0, 20.0):
        cells = [worst(lambda turn, d=dose, r=ratio: crystal(14.0, turn, d, r)) for dose in DOSES]  # type: ignore[misc]
        lines.append(f"| {ratio:g} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Disturbances, spacing 14 px, 10,000 electrons per A column, A:B 2.5:",
        "",
        "| disturbance | recall / precision |",
    ]
    lines += ["|---|---|", *(f"| {name} | {worst(draw)} |" for name, draw in disturbed())]
    if images is not None:
        lines += multislice(images)
    return "\n".join(lines)


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    pages.add_argument(parser)
    parser.add_argument("--multislice", type=Path, help="folder of multislice images")
    given = parser.parse_args()
    pages.put(tables(given.multislice), "finding", given.write)


if __name__ == "__main__":
    main()
