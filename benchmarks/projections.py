"""Crystals as their structures say, seen along an axis: are all columns found, none invented, and the contrast right?

    python benchmarks/projections.py [--seeds 2] [--write docs/accuracy.md]

The structures of `crystals.toml` are built by ASE. An image has 420 × 420 pixels, and a pixel size, rotation, probe
(0.32 to 0.5 Å), dose, background and gradient that are drawn; its columns are 8 nm long, each with the sum of Z^1.7 of
its atoms. The crystal fills the image, or is a round particle whose columns are as long as it is thick there, or half
of the image is another grain of it. What isn't resolved counts as neither missing nor invented: a column within 2.3
widths of one twice as high, or of less than an eighth of the highest, may be missing; one that is found may stand a
width away from a true one.
"""

from __future__ import annotations

import argparse
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pages
from ase.spacegroup import crystal
from gate import look
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from stemdask.kernels.images.finding.polarity import DOUBTFUL, polarity
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.kernels.images.fitting.gaussian import render

SIDE = 420
#: Thickness; columns nearer than this are one; both in Å.
THICKNESS, ONE = 80.0, 0.25
#: What must be found: no column twice as bright within so many widths, and this part of the brightest.
APART, BRIGHT = 2.3, 0.125
#: Radii of particles and place of the boundary of grains from the middle, in units of the image's side.
RADII, BOUNDARY = (0.28, 0.42), 0.2
SHAPES = {"whole": "images that the crystal fills", "particle": "round particles", "grains": "two grains"}
CRYSTALS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("crystals.toml").read_text())


class Drawn(NamedTuple):
    image: np.ndarray
    columns: np.ndarray
    """(n, 2), px."""
    heights: np.ndarray
    """(n,), in units of the highest."""
    width: float
    """px."""


def project(of: dict[str, Any], axis: list[int], field: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns (n, 2) along an axis in a square field, Å, and the sum of Z^1.7 of each."""
    elements, places = [site[0] for site in of["sites"]], [site[1:] for site in of["sites"]]
    atoms = crystal(elements, places, spacegroup=of["group"], cellpar=of["cell"], setting=of.get("setting", 1))
    cell = np.array(atoms.cell)
    along = np.asarray(axis) @ cell
    repeat = float(np.linalg.norm(along))
    along /= repeat
    right = np.cross(along, [0.0, 0.0, 1.0] if abs(along[2]) < 0.9 else [1.0, 0.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(along, right)
    thick = repeat * max(1, round(THICKNESS / repeat))
    reach = np.hypot(field / 2**0.5, thick / 2) + np.linalg.norm(cell.sum(axis=0))
    counts = np.ceil(reach * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)
    corners = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in counts), indexing="ij"), -1).reshape(-1, 3) @ cell
    seen = np.abs(np.stack([corners @ right, corners @ down])).max(axis=0) < field / 2 + 15
    corners = corners[seen & (np.abs(corners @ along) < thick / 2 + 20)]
    places = (corners[:, None] + atoms.positions).reshape(-1, 3)
    weights = np.tile(atoms.numbers.astype(float), len(corners)) ** 1.7
    depth, flat = places @ along, np.stack([places @ right, places @ down], axis=1)
    inside = (depth >= 1e-3 - thick / 2) & (depth < 1e-3 + thick / 2) & (np.abs(flat).max(axis=1) < field / 2)
    flat, weights = flat[inside], weights[inside]
    pairs = cKDTree(flat).query_pairs(ONE, output_type="ndarray")
    joined = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(flat), len(flat)))
    n, column = connected_components(joined, directed=False)
    total = np.bincount(column, weights, n)
    return np.stack([np.bincount(column, weights * x, n) / total for x in flat.T], axis=1), total


def draw(of: dict[str, Any], axis: list[int], seed: int, shape: str = "whole") -> Drawn:
    rng = np.random.default_rng(seed)
    probe = rng.uniform(0.32, 0.5)
    pixel = min(float(rng.choice([0.08, 0.1, 0.13, 0.17, 0.2])), probe / 1.7)
    projected, weights = project(of, axis, 1.5 * SIDE * pixel)
    width, places = probe / pixel, turned(projected / pixel, rng.uniform(0.0, np.pi))
    if shape == "particle":
        middle, radius = rng.uniform(0.45, 0.55, 2) * SIDE, rng.uniform(*RADII) * SIDE
        thick = np.sqrt(np.clip(1.0 - ((places - middle) ** 2).sum(axis=1) / radius**2, 0.0, None))
        places, weights = places[thick > 0], (weights * thick)[thick > 0]
    elif shape == "grains":
        other = turned(projected / pixel, rng.uniform(0.0, np.pi))
        angle, at = rng.uniform(0.0, 2 * np.pi), rng.uniform(-BOUNDARY, BOUNDARY) * SIDE
        across = np.array([np.sin(angle), np.cos(angle)])
        here = (places - SIDE / 2) @ across > at + 0.5 * width
        there = (other - SIDE / 2) @ across < at - 0.5 * width
        places, weights = np.concatenate([places[here], other[there]]), np.concatenate([weights[here], weights[there]])
    near = ((places > -5 * width) & (places < SIDE - 1 + 5 * width)).all(axis=1)
    places, heights = places[near], weights[near] / weights[near].max()
    image = np.zeros((SIDE, SIDE), np.float32)
    render(image, places, heights, np.tile([1 / width**2, 0.0, 1 / width**2], (len(places), 1)))
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    dose, background, slopes = 10 ** rng.uniform(1.7, 3.3), rng.uniform(0.02, 0.3), rng.uniform(-0.15, 0.15, 2)
    expected = dose * (image / image.max() + background) * (1 + slopes[0] * y + slopes[1] * x)
    return Drawn(rng.poisson(np.maximum(expected, 0)).astype(np.float32), places, heights, width)


def turned(places: np.ndarray, angle: float) -> np.ndarray:
    """Turn places (n, 2) about the origin, which comes into the middle of the image."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(places @ turn + SIDE / 2)


def verdicts(drawn: Drawn) -> tuple[str, str]:
    """Return what is wrong with the columns found in an image, and what is said of it."""
    seen = look(drawn.image)
    if seen is None:
        return "no lattice", "no lattice"
    tree = cKDTree(drawn.columns)
    away, near = tree.query(drawn.columns, k=min(8, len(drawn.columns)))
    hidden = ((away[:, 1:] < APART * drawn.width) & (drawn.heights[near[:, 1:]] > 2 * drawn.heights[:, None])).any(
        axis=1
    )
    edge = max(5 * drawn.width, 0.6 * seen.found.distance)
    wanted = ((drawn.columns > edge) & (drawn.columns < SIDE - 1 - edge)).all(axis=1) & ~hidden
    wanted &= drawn.heights > BRIGHT
    reach = max(0.3 * seen.found.distance, drawn.width)
    missing = np.mean(cKDTree(seen.places).query(drawn.columns[wanted])[0] > reach) if wanted.any() else 0.0
    invented = np.mean(tree.query(seen.places)[0] > reach)
    wrong = "invented" if invented > 0.01 else "missing" if missing > 0.02 else "right"
    return wrong, seen.verdict


def contrasts(image: np.ndarray) -> Iterator[str]:
    """Tell whether the contrast of an image, and of its negative, is recognised."""
    for sign in (1, -1):
        try:
            evidence = sign * polarity(sign * image)
        except NoLatticeError:
            continue
        yield "right" if evidence >= DOUBTFUL else "undecided" if evidence > -DOUBTFUL else "wrong"


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    pages.add_argument(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # a fit of what aren't columns may overflow
    judged, contrast = Counter[tuple[str, str, str]](), Counter[str]()
    silent: dict[str, list[str]] = {shape: [] for shape in SHAPES}
    for name, of in CRYSTALS.items():
        for axis in of["axes"]:
            for shape, seed in [("whole", seed) for seed in range(arguments.seeds)] + [("particle", 2), ("grains", 3)]:
                drawn = draw(of, axis, 1000 * seed + sum(map(ord, f"{name}{axis}")), shape)
                said = verdicts(drawn)
                judged[shape, *said] += 1
                contrast.update(contrasts(drawn.image))
                if said[0] in ("missing", "invented") and said[1] == "passed":
                    silent[shape].append(f"{name} [{''.join(map(str, axis))}] ({said[0]})")
    n = sum(len(of["axes"]) for of in CRYSTALS.values())
    lines = [f"{judged.total()} images of {n} projections of {len(CRYSTALS)} crystals, passed / marked / refused:", ""]
    lines += [f"| | {' | '.join(SHAPES.values())} |", "|---|---|---|---|"]
    rows = {"right": "all columns found, none invented", "missing": "some missing", "invented": "some invented"}
    for wrong, text in rows.items():
        counts = [[judged[shape, wrong, verdict] for verdict in ("passed", "marked", "refused")] for shape in SHAPES]
        lines.append(f"| {text} | {' | '.join(' / '.join(map(str, count)) for count in counts)} |")
    lines.append(f"| no lattice | {' | '.join(str(judged[shape, 'no lattice', 'no lattice']) for shape in SHAPES)} |")
    lines += ["", "Passed with columns missing or invented:", ""]
    lines += [f"* {SHAPES[shape]}: {', '.join(names) or 'none'}" for shape, names in silent.items()]
    lines += [
        "",
        f"The contrast is recognised in {contrast['right']} images and negatives, undecided in "
        f"{contrast['undecided']}, and mistaken for its negative in {contrast['wrong']}.",
    ]
    pages.put("\n".join(lines), "projections", arguments.write)


if __name__ == "__main__":
    main()
