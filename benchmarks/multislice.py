"""Columns found in multislice images of many structures, with no config: how many, how true, how honest their errors.

    python benchmarks/multislice.py sto001.npz gaas.npz ... [--jitter 0 0.3] [--write docs/accuracy.md]

Each file holds one periodic cell: `image` (x, y), `sampling_A` (2,), `truth` (n, 2 or more): x and y in Å of
each column that the detector shows; and `title`, if the file's name isn't the one to print. It is repeated to some
420 px, its brightest pixel is 100, 1,000 and 20,000 electrons over a background of 3 %, noise is drawn eight times, and
`--jitter` shifts each row by so many px (RMS).

Vibrations are drawn for few atoms, so that columns that are equal in the crystal lie off their places by different
vectors, the same wherever the file's cell is repeated: the image is averaged over all translations of the crystal
within that cell. What remains, as of channelling and of neighbours, is the same for all columns of a site and is taken
out. *68 %*: columns whose error is less than one standard error, along x and y: that of the pixels and, where
displacements tell them, the shifts of rows. *Significant*: cells whose displacement of B against A, less the mean, is
`displacement/significant`, which 5 of 100 are by chance.
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
SIDE, DRAWS = 420, 8
#: How far from its place a column may be to be that column, in units of the shortest distance, and some px.
NEAR = 0.18, 1.0
#: A cell that is shifted by a translation of the crystal lies on itself but for so many px, and this part of its
#: contrast.
SAME_PLACE, SAME_IMAGE = 0.1, 0.4


def shifted(image: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return an image that repeats, (y, x), moved by so many px."""
    wave = [np.fft.fftfreq(n) for n in image.shape]
    turn = np.exp(-2j * np.pi * (by[0] * wave[0][:, None] + by[1] * wave[1]))
    return np.fft.ifft2(np.fft.fft2(image) * turn).real


def averaged(cell: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the image of a cell over the translations that bring its columns (n, 2), px, onto its columns.

    Returns
    -------
    The image, and which site (n,) of the crystal each column is of.
    """
    size, contrast = np.array(cell.shape), cell.std()
    tree, every, same = cKDTree(places % size, boxsize=size), [], []
    for step in places - places[0]:
        away, onto = tree.query((places + step) % size)
        if away.max() < SAME_PLACE:
            moved = shifted(cell, step)
            if (moved - cell).std() < SAME_IMAGE * contrast:
                every.append(moved)
                same.append(onto)
    return np.mean(every, axis=0), np.min(same, axis=0)


def drawn(path: Path, counts: int, jitter: float, draw: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return an image that ends within cells, its columns (n, 2) in px, their sites in it, and the pixel in nm."""
    data = np.load(path)
    cell, pixel = np.asarray(data["image"], float).T, float(np.mean(data["sampling_A"]))
    repeats = [max(1, round(SIDE / side)) for side in cell.shape]
    corners = np.argwhere(np.ones(repeats)) * cell.shape
    one = data["truth"][:, 1::-1] / data["sampling_A"][::-1]
    cell, kind = averaged(cell, one)
    truth, site = (one + corners[:, None]).reshape(-1, 2), np.tile(kind, len(corners))
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
    params = {"columns": {}, "lattice": {}, "displacement": {"remove": "mean"}}
    steps = [Step(name, registry.get("images", name).params(**given)) for name, given in params.items()]
    found = chain.analyse("images", steps, ImageFrame(0, image, (pixel, pixel)))
    used = found["columns/sublattice"] >= 0
    places = np.column_stack([found["columns/y"], found["columns/x"]])[used] / pixel
    standard = np.column_stack([found["columns/y_err"], found["columns/x_err"]])[used] / pixel
    by_rows = np.column_stack([found["columns/jitter_y"], found["columns/jitter_x"]])[used]
    standard = np.hypot(standard, by_rows / (1e3 * pixel))
    distance = float(np.median(cKDTree(places).query(places, 2)[0][:, 1]))
    near = NEAR[0] * distance + NEAR[1]
    inside = ((truth > 0.5 * distance + 1) & (truth < np.array(image.shape) - 2 - 0.5 * distance)).all(axis=1)
    recall = float((cKDTree(places).query(truth[inside])[0] < near).mean())
    away, which = cKDTree(truth).query(places)
    true = away < near
    own, known = of_each((places - truth[which])[true], site[which][true]), np.isfinite(standard[true])
    honest = float((np.abs(own) < standard[true])[known].mean())
    judged = found["displacement/significant"][found["displacement/significant"] >= 0]
    significant = float((judged == 1).mean()) if judged.size else float("nan")
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
