"""Where a multislice image shows the B columns, against where they are seen with nothing else in the image.

    python benchmarks/column_images.py FILE.npz [FILE.npz ...] [--write docs/accuracy.md]

A displacement is that of the image of a column, which isn't displaced as the nucleus is. What it should be is known
from images of the same crystal, with the same phonons, without A and without B: high-angle scattering of columns adds
up. Each file holds `all`, `noA` and `noB` (x, y) of 2 x 2 cells of a perovskite, `sampling` (2,) in angstrom per pixel,
`a` and `c`, the edges of the cell, and `dB`, the displacement of the nucleus of B along y, in angstrom; the first A is
at (a, c) / 4.
`--write` puts the table between the marks `<!-- column images -->` and `<!-- /column images -->` of a page.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pages
from scipy.optimize import least_squares

from stemdask.analyses import chain, registry
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.model import ImageFrame, Step

#: Electrons in the brightest pixel, how often the file is laid side by side, and the core that is fitted, angstrom.
ELECTRONS, TILES, CORE = 20_000, 5, 0.7


class Crystal(NamedTuple):
    """One file."""

    name: str
    images: dict[str, np.ndarray]
    sampling: np.ndarray
    cell: np.ndarray
    nucleus: float

    @classmethod
    def read(cls, path: str) -> Crystal:
        """Read a file."""
        with np.load(path) as given:
            images = {name: given[name].astype(float) for name in ("all", "noA", "noB")}
            cell = np.array([float(given["a"]), float(given["c"])])
            return cls(Path(path).stem, images, given["sampling"], cell, float(given["dB"]))

    def place(self, name: str, near: np.ndarray) -> np.ndarray:
        """Return where a column that is alone in its neighbourhood is brightest, angstrom."""
        image = self.images[name]
        points = np.stack(np.indices(image.shape), axis=-1) * self.sampling - near
        size = 2.0 * self.cell
        points -= size * np.round(points / size)
        core = np.hypot(*np.moveaxis(points, -1, 0)) < CORE
        x, y = points[core].T
        values = image[core]

        def residual(p: np.ndarray) -> np.ndarray:
            return np.asarray(p[0] * np.exp(-0.5 * ((x - p[1]) ** 2 + (y - p[2]) ** 2) / p[3] ** 2) + p[4] - values)

        start = [np.ptp(values), 0.0, 0.0, 0.5, values.min()]
        return near + least_squares(residual, start, x_scale=[values.max(), 0.1, 0.1, 0.1, values.max()]).x[1:3]

    def alone(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the displacement (x, y) of B against A in images of one kind of column, pm, and its standard error."""
        corners = np.stack(np.meshgrid([0.25, 1.25], [0.25, 1.25], indexing="ij"), axis=-1).reshape(-1, 2) * self.cell
        middles = corners + 0.5 * self.cell
        found = [
            self.place("noA", b + np.array([0.0, self.nucleus])) - self.place("noB", a) - 0.5 * self.cell
            for a, b in zip(corners, middles, strict=True)
        ]
        return 100.0 * np.mean(found, axis=0), 100.0 * np.std(found, axis=0) / np.sqrt(len(found) - 1)

    def analysed(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean displacement (x, y) that a run finds in the whole image, and its systematic error, pm."""
        image = np.tile(self.images["all"], (TILES, TILES))
        image = np.random.default_rng(1).poisson(image / image.max() * ELECTRONS).astype(np.float32)
        # Phonons repeat from tile to tile, and would be taken for a superlattice.
        along = ((self.cell[1] / self.sampling[1], 0.0), (0.0, self.cell[0] / self.sampling[0]))
        steps = [Step("columns", ColumnsParams(vectors=along, sublattices=2))]
        steps += [Step(name, registry.get("images", name).params()) for name in ("lattice", "displacement")]
        frame = ImageFrame(0, image, (float(self.sampling[0]) / 10.0, float(self.sampling[1]) / 10.0))
        values = chain.analyse("images", steps, frame)
        mean = [float(np.nanmean(values[f"displacement/{name}"])) for name in "vu"]  # rows of the image run along x
        return np.array(mean), np.array([float(values[f"displacement/{name}_sys"]) for name in "vu"])


def table(paths: list[str]) -> str:
    """Return the table of all files."""
    lines = ["| | nucleus | columns alone | found, with u_sys | across: alone | found |", "|---|---|---|---|---|---|"]
    for path in paths:
        crystal = Crystal.read(path)
        (true, error), (found, unsure) = crystal.alone(), crystal.analysed()
        alone, seen = (
            [f"{value:.1f} ± {spread:.1f}" for value, spread in zip(*pair, strict=True)]
            for pair in ((true, error), (found, unsure))
        )
        lines.append(
            f"| {crystal.name} | {100 * crystal.nucleus:.0f} | {alone[1]} | {seen[1]} | {alone[0]} | {seen[0]} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="files described above")
    pages.add_argument(parser)
    arguments = parser.parse_args()
    pages.put(table(arguments.files), "column images", arguments.write)


if __name__ == "__main__":
    main()
