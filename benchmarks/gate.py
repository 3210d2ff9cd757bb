"""How far the gate of a frame can be trusted: precision of the columns against its measures, and what passes it.

    python benchmarks/gate.py [MULTISLICE.npz ...] [--write docs/accuracy.md]

Crystals are simulated structures at doses from too few to plenty, and multislice images, given as `image` (x, y),
`sampling_A` (2,) and `truth` (n, 5), whose first two columns are x and y in angstrom. A column is true within 0.3 of
the shortest distance of one that is there. What is no crystal is drawn by `tests/toys/no_crystal.py`, and comes in the
contrast in which a run would take it. `--write` puts the tables between the marks `<!-- gate -->` and `<!-- /gate -->`
of a page.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pages
from scipy.spatial import cKDTree

from stemdask.analyses.images.columns import gate
from stemdask.analyses.images.columns.columns import ColumnsParams, measure
from stemdask.errors import FrameError
from stemdask.kernels.images.finding.columns import Columns, find_columns
from stemdask.kernels.images.finding.polarity import DOUBTFUL, polarity
from stemdask.kernels.images.finding.quality import assess
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.kernels.images.finding.tails import judge_faint
from stemdask.model import ImageFrame
from stemdask.simulate import MotifColumn, lattice_image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "toys"))
from no_crystal import no_crystals

ELECTRONS = (20, 60, 150, 400, 1000, 5000, 50000)
COUNTS = (3, 10, 30, 100, 300, 3000)
SCATTERS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.2, np.inf)
CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.01)
#: Lattice vectors in units of the shorter one, and columns: fractions along the vectors, and electrons.
SQUARE, HEXAGONAL = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [0.75**0.5, 0.5]])
RECTANGLE, DUMBBELLS = np.array([[0.0, 1.41], [1.0, 0.0]]), np.array([[0.705, 1.0], [0.705, -1.0]])
STRUCTURES = {
    "square": (SQUARE, [(0.0, 0.0, 1.0)]),
    "hexagonal": (HEXAGONAL, [(0.0, 0.0, 1.0)]),
    "rectangle": (RECTANGLE, [(0.0, 0.0, 1.0)]),
    "perovskite 1.5": (SQUARE, [(0.0, 0.0, 1.0), (0.5, 0.5, 0.67)]),
    "perovskite 3": (SQUARE, [(0.0, 0.0, 1.0), (0.5, 0.5, 0.33)]),
    "perovskite with oxygen": (SQUARE, [(0.0, 0.0, 1.0), (0.5, 0.5, 0.6), (0.5, 0.0, 0.25), (0.0, 0.5, 0.25)]),
    "perovskite <110>": (RECTANGLE, [(0.0, 0.0, 1.0), (0.5, 0.0, 0.33)]),
    "honeycomb": (HEXAGONAL, [(1 / 3, 1 / 3, 1.0), (2 / 3, 2 / 3, 1.0)]),
    "honeycomb 2": (HEXAGONAL, [(1 / 3, 1 / 3, 1.0), (2 / 3, 2 / 3, 0.5)]),
    "zincblende <110>": (DUMBBELLS, [(0.0, 0.0, 1.0), (0.25, 0.25, 1.0)]),
    "zincblende <110> 1.4": (DUMBBELLS, [(0.0, 0.0, 1.0), (0.25, 0.25, 0.71)]),
    "kagome": (HEXAGONAL, [(0.5, 0.0, 1.0), (0.0, 0.5, 1.0), (0.5, 0.5, 1.0)]),
}


class Seen(NamedTuple):
    """A lattice that was seen in an image: what was found and fitted, and what became of it."""

    found: Columns
    places: np.ndarray
    """(n, 2), px, of the columns that are measured."""
    scatter: float
    verdict: str
    """refused, marked or passed."""


class Judged(NamedTuple):
    """What became of an image in which a lattice was seen."""

    precision: float
    scatter: float
    confidence: float
    verdict: str
    """refused, marked or passed."""


def look(image: np.ndarray, *, dark: bool = False) -> Seen | None:
    """Find, fit and judge the columns of an image; None where there is no lattice, or no column within it."""
    pixels = np.nanmax(image) - image if dark else image
    try:
        found = find_columns(pixels)
    except NoLatticeError:
        return None
    fit = measure(pixels, found, ColumnsParams())
    quality = assess(found, fit, pixels, dark=dark)
    if not quality.usable.any():
        return None
    places = fit.positions[: len(found.interior)][found.interior][quality.usable]
    try:
        gate.refuse(quality)
    except FrameError:
        verdict = "refused"
    else:
        frame = ImageFrame(0, pixels, (1.0, 1.0), calibrated=False)
        tails = judge_faint(pixels, found, fit).may_be_tails
        reasons = gate.measured(quality, 1.0, 1.0, frame, tails=tails)[gate.REASONS.path]
        verdict = "marked" if reasons else "passed"
    return Seen(found, places, quality.scatter, verdict)


def judge(image: np.ndarray, truth: np.ndarray, *, dark: bool = False) -> Judged | None:
    """Find, fit and judge the columns of an image; None where there is no lattice, or no column within it."""
    seen = look(image, dark=dark)
    if seen is None:
        return None
    near = 0.3 * seen.found.distance
    true = cKDTree(truth).query(seen.places)[0] < near if len(truth) else np.zeros(1)
    return Judged(float(np.mean(true)), seen.scatter, seen.found.vectors.confidence, seen.verdict)


def simulated() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images of structures and their columns, px; width, spacing, rotation and background are drawn at random."""
    for number, (vectors, motif) in enumerate(STRUCTURES.values()):
        nearest = _nearest(vectors, np.array([column[:2] for column in motif]))
        for k, electrons in enumerate(ELECTRONS):
            rng = np.random.default_rng((number, k))
            width, sigma = rng.uniform(0.14, 0.36), rng.uniform(1.2, 3.5)
            scale = float(np.clip(sigma / (width * nearest), 6.0, 40.0))
            sigma, angle = width * nearest * scale, rng.uniform(0.0, np.pi)
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            columns = [MotifColumn((a, b), electrons * e, sigma, kind) for kind, (a, b, e) in enumerate(motif)]
            image, truth = lattice_image(
                (256, 264),
                scale * vectors @ turn,
                columns,
                background=electrons / (2 * np.pi * sigma**2) * 10 ** rng.uniform(-1.5, 0.5),
                noise="poisson",
                row_shift=rng.normal(0.0, 0.3, (256, 2)) if k % 2 else None,
                seed=k,
            )
            yield image, truth.positions


def multislice(path: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield an image, repeated, at several counts of its brightest pixel and 3 % of background, and its columns, px."""
    data = np.load(path)
    cell, sampling = data["image"].T / data["image"].max(), data["sampling_A"][::-1]
    one = data["truth"][:, 1::-1] / sampling
    tiles = np.argwhere(np.ones((5, 5))) * cell.shape
    image, truth = np.tile(cell, (5, 5)), (one[:, None] + tiles).reshape(-1, 2)
    for counts in COUNTS:
        yield np.random.default_rng(counts).poisson(counts * (image + 0.03)).astype(np.float32), truth


def no_columns() -> Iterator[Judged | None]:
    """Judge what shows no crystal, in the contrast that it seems to have; None where that is doubtful."""
    for _, draw in no_crystals():
        image = np.asarray(draw(), np.float32)
        try:
            evidence = polarity(image)
        except NoLatticeError:
            evidence = 1.0
        yield judge(image, np.empty((0, 2)), dark=evidence < 0) if abs(evidence) >= DOUBTFUL else None


def against(judged: list[Judged], name: str, edges: tuple[float, ...]) -> list[str]:
    """Return the lines of a table: precision in ranges of a measure."""
    lines = [f"| {name} | images | mean precision | worst | refused | marked |", "|---|---|---|---|---|---|"]
    for low, high in pairwise(edges):
        among = [one for one in judged if low <= getattr(one, name) < high]
        if among:
            precision = np.array([one.precision for one in among])
            span = f"{low:g} or more" if high > 1.0 else f"{low:g} to {high:g}"
            row = [span, str(len(among)), f"{precision.mean():.3f}", f"{precision.min():.3f}"]
            row += [str(sum(one.verdict == verdict for one in among)) for verdict in ("refused", "marked")]
            lines.append(f"| {' | '.join(row)} |")
    return lines


def verdicts(judged: list[Judged], nothing: list[Judged | None]) -> list[str]:
    """Return the lines of a table: what became of good, of bad and of no columns."""
    lines = ["| | images | passed | marked | refused | no lattice, or doubtful |", "|---|---|---|---|---|---|"]
    good = [one for one in judged if one.precision >= 0.99]
    bad = [one for one in judged if one.precision < 0.99]
    for name, among in (("0.99 or more true", good), ("fewer", bad), ("no crystal", nothing)):
        counts = [sum(one is not None and one.verdict == v for one in among) for v in ("passed", "marked", "refused")]
        lines.append(f"| {name} | {len(among)} | {' | '.join(map(str, counts))} | {among.count(None)} |")
    return lines


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*")
    pages.add_argument(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # a fit of what aren't columns may overflow
    crystals = [*simulated(), *(pair for path in arguments.images for pair in multislice(path))]
    judged = [one for image, truth in crystals if (one := judge(image, truth)) is not None]
    lines = [f"In {len(crystals) - len(judged)} of {len(crystals)} images of crystals no lattice is found.", ""]
    lines += [*against(judged, "scatter", SCATTERS), "", *against(judged, "confidence", CONFIDENCES), ""]
    text = "\n".join([*lines, *verdicts(judged, list(no_columns()))])
    pages.put(text, "gate", arguments.write)


def _nearest(vectors: np.ndarray, fractions: np.ndarray) -> float:
    """Return the shortest distance of columns."""
    cells = np.argwhere(np.ones((3, 3))) - 1
    steps = (fractions[:, None, None] - fractions[None, :, None] + cells).reshape(-1, 2) @ vectors
    lengths = np.hypot(*steps.T)
    return float(lengths[lengths > 1e-6].min())


if __name__ == "__main__":
    main()
