"""Columns found in multislice images of many structures, with no config: how many, how true, how honest their errors.

    python benchmarks/multislice.py sto001.npz gaas.npz ... [--jitter 0 0.3] [--write docs/accuracy.md]

Each file holds one periodic cell: `image` (x, y), `sampling_A` (2,), `truth` (n, 2 or more): x and y in Å of
each column that the detector shows; and `title`, if the file's name isn't the one to print. It is repeated to some
420 px, its brightest pixel is 100, 1,000 and 20,000 electrons over a background of 3 %, noise is drawn four times, and
`--jitter` shifts each row by so many px (RMS).

The image of a column may be off its atoms by the same vector wherever the cell is repeated (channelling, neighbours,
the vibrations that were drawn): that is taken out. *68 %*: columns whose error is less than one standard error, along x
and y: that of the pixels and, where displacements tell them, the shifts of rows. *Significant*: cells whose
displacement of B against A, less that of its site, is one that chance makes in 5 of 100.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pages
from scipy.spatial import cKDTree

from stemdask.analyses import chain, registry
from stemdask.errors import StemdaskError
from stemdask.model import ImageFrame, Step

COUNTS = (100, 1_000, 20_000)
SIDE, DRAWS = 420, 4
#: Squared length of a pair of normal numbers that chance exceeds in 5 of 100.
FIVE_PERCENT = 5.99
#: How far from its place a column may be to be that column, in units of the shortest distance, and some px.
NEAR = 0.18, 1.0


def drawn(path: Path, counts: int, jitter: float, draw: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return an image that ends within cells, its columns (n, 2) in px, their sites in it, and the pixel in nm."""
    data = np.load(path)
    cell, pixel = np.asarray(data["image"], float).T, float(np.mean(data["sampling_A"]))
    repeats = [max(1, round(SIDE / side)) for side in cell.shape]
    corners = np.argwhere(np.ones(repeats)) * cell.shape
    one = data["truth"][:, 1::-1] / data["sampling_A"][::-1]
    truth, site = (one + corners[:, None]).reshape(-1, 2), np.tile(np.arange(len(one)), len(corners))
    image, random = np.tile(cell / cell.max(), repeats), np.random.default_rng([counts, draw])
    if jitter:
        shift = random.normal(0.0, jitter, (len(image), 1))
        wave = np.fft.rfftfreq(image.shape[1])
        image = np.fft.irfft(np.fft.rfft(image) * np.exp(-2j * np.pi * wave * shift), image.shape[1])
    counted = random.poisson(counts * np.clip(image + 0.03, 0.0, None)).astype(np.float32)
    return counted[7:-5, 4:-9], truth - [7, 4], site, pixel / 10.0


def of_each(values: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Return values (n, 2) without what all of a kind (n,) have in common."""
    kinds, which = np.unique(kind, return_inverse=True)
    return values - np.array([np.nanmedian(values[kind == k], axis=0) for k in kinds])[which]


class Outcome(NamedTuple):
    """Of one image; each a part of 1, NaN where there is nothing of which to take it."""

    recall: float
    precision: float
    honest: float
    significant: float
    marked: bool


def outcome(path: Path, counts: int, jitter: float, draw: int) -> Outcome:
    """Analyse one image as a run does.

    Raises
    ------
    StemdaskError
        It is refused.
    """
    image, truth, site, pixel = drawn(path, counts, jitter, draw)
    steps = [Step(name, registry.get("images", name).params()) for name in ("columns", "lattice", "displacement")]
    found = chain.analyse("images", steps, ImageFrame(0, image, (pixel, pixel)))
    used = found["columns/sublattice"] >= 0
    places = np.column_stack([found["columns/y"], found["columns/x"]])[used] / pixel
    standard = np.column_stack([found["columns/y_err"], found["columns/x_err"]])[used] / pixel
    jitter_found = np.array([float(found[f"displacement/jitter_{axis}"]) for axis in "yx"]) / (1e3 * pixel)
    standard = np.hypot(standard, jitter_found)
    distance = float(np.median(cKDTree(places).query(places, 2)[0][:, 1]))
    near = NEAR[0] * distance + NEAR[1]
    inside = ((truth > 0.5 * distance + 1) & (truth < np.array(image.shape) - 2 - 0.5 * distance)).all(axis=1)
    recall = float((cKDTree(places).query(truth[inside])[0] < near).mean())
    away, which = cKDTree(truth).query(places)
    true = away < near
    own, known = of_each((places - truth[which])[true], site[which][true]), np.isfinite(standard[true])
    honest = float((np.abs(own) < standard[true])[known].mean())
    shift = np.column_stack([found["displacement/u"], found["displacement/v"]])
    error = np.column_stack([found["displacement/u_err"], found["displacement/v_err"]])
    known = np.isfinite(shift).all(axis=1)
    significant = float("nan")
    if known.any():
        of = site[which][(np.cumsum(used) - 1)[found["displacement/column"][known]]]
        chance = ((of_each(shift[known], of) / error[known]) ** 2).sum(axis=1)
        significant = float((chance > FIVE_PERCENT).mean())
    return Outcome(recall, float(true.mean()), honest, significant, bool(int(found["frames/quality_reasons"])))


def row(path: Path, counts: int, jitter: float) -> str:
    try:
        every = [outcome(path, counts, jitter, draw) for draw in range(DRAWS)]
    except StemdaskError as error:
        return f"refused: {error.what}"
    recall, precision, honest, significant, marked = np.mean(np.array(every, dtype=np.float64), axis=0)
    cells = [f"{recall:.3f}", f"{precision:.3f}", f"{100 * honest:.0f} %"]
    cells.append("–" if np.isnan(significant) else f"{100 * significant:.0f} %")
    return " / ".join(cells) + (" (marked)" if marked == 1.0 else f" ({marked:.2g} marked)" if marked else "")


def rows(paths: list[Path], jitter: float) -> Iterator[str]:
    for path in paths:
        with np.load(path) as data:
            title = str(data["title"]) if "title" in data else path.stem
        yield " | ".join([title, *(row(path, counts, jitter) for counts in COUNTS)])


def table(files: list[Path], jitter: float) -> str:
    """Return the rows of all files."""
    head = "| | " + " | ".join(f"{counts:,} electrons" for counts in COUNTS) + " |"
    said = [f"Rows shifted by {jitter:g} px (RMS):", ""] if jitter else []
    return "\n".join([*said, head, "|---" * (len(COUNTS) + 1) + "|", *(f"| {text} |" for text in rows(files, jitter))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--jitter", type=float, nargs="+", default=[0.0], help="px (RMS) by which rows are shifted")
    pages.add_argument(parser)
    chosen = parser.parse_args()
    tables = "\n\n".join(table(chosen.files, jitter) for jitter in chosen.jitter)
    pages.put(tables, "multislice", chosen.write)


if __name__ == "__main__":
    main()
