"""Labels, errors and numbers of domains in displacement maps of simulated images whose truth is known.

    python benchmarks/maps.py [--write docs/accuracy.md]

Everything is measured in images: columns are found and fitted, and nothing but the pixel size is given. Displacements
are 15 pm of the B column, pixels 20 pm, columns 50 pm wide; the dose is named by the electrons per pixel at the peak of
an A column. `--write` puts the tables between the marks `<!-- maps -->` and `<!-- /maps -->` of a page.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pages
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

import stemdask
from stemdask import simulate
from stemdask.analyses.images.maps import denoise, domains
from stemdask.kernels.images.denoising.map_denoiser import METHODS

SPACING, WIDTH, PIXEL, SHIFT = 16.0, 2.5, 0.02, 15.0
#: Cells along each side of stacks, of single frames that hold domains, and of those that hold none.
CELLS, WIDE, SMALL = 17, 28, 14
#: Frames of a stack, single frames of each kind, and of those without domains as measured and after each method.
STACK, SINGLE, CONTROL, DENOISED = 64, 8, 100, 10
#: Electrons at the peak at which the noise of a cell is as large as the displacement, and where it is a third of it.
LOW, HIGH = 2.5, 20.0
#: Direction of each domain: degree, counter-clockwise.
DIRECTIONS = {
    "none": (), "one": (30.0,), "180°": (0.0, 180.0), "90°": (0.0, 90.0), "closure": (90.0, 180.0, 270.0, 0.0),
}  # fmt: skip
Array = np.ndarray
#: Which domain each place (n, 2) in px belongs to.
Pattern = Callable[[Array], Array]


@dataclass
class Memory:
    """The displacements of some frames, as `denoise` and `domains` read them, and what they write."""

    results: dict[str, Array]
    n_frames: int
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def blocks(self) -> list[slice]:
        """One block of all frames."""
        return [slice(0, self.n_frames)]

    def read(self, path: str, frames: slice = slice(None)) -> Array:
        """Read a variable."""
        return np.array(self.results[path][frames])

    def has(self, path: str) -> bool:
        """Tell whether there is one."""
        return path in self.results

    def units(self, variable: Any) -> str:
        """Return its units."""
        return str(variable.units)

    def frame(self, index: int) -> Any:
        """Refuse: nothing reads images again."""
        raise NotImplementedError

    def write(self, path: str, values: Array, _: slice | None = None) -> None:
        """Keep a variable."""
        self.results[path] = np.array(values)

    def set_attributes(self, group: str, attributes: Mapping[str, Any]) -> None:
        """Keep attributes."""
        self.attributes.setdefault(group, {}).update(attributes)


@dataclass(frozen=True)
class Measured:
    """Displacements of simulated frames, and the truth of every cell."""

    results: dict[str, Array]
    domain: Array
    """(frame, cell); -1 where there is none."""
    truth: Array
    """(frame, cell, 2), u and v, pm."""

    def memory(self, frames: slice = slice(None)) -> Memory:
        """Return some frames as a stack of their own."""
        chosen = {path: array[frames] for path, array in self.results.items()}
        return Memory(chosen, len(self.domain[frames]))

    def error(self, results: Mapping[str, Array], group: str) -> tuple[float, float]:
        """RMS of u and v against the truth, and RMS of the errors stated, pm."""
        vectors, errors = (
            np.stack([results[f"{group}/{name}{end}"] for name in "uv"], axis=-1) for end in ("", "_err")
        )
        return rms(vectors - self.truth), rms(errors[np.isfinite(vectors)])

    def right(self, label: Array, frames: slice = slice(None)) -> float:
        """Part of all cells with the label of their domain, a label each."""
        domain = self.domain[frames]
        wide = max(label.max(), domain.max()) + 1
        table = np.zeros((wide, wide))
        known = (label >= 0) & (domain >= 0)
        np.add.at(table, (label[known], domain[known]), 1)
        return float(table[linear_sum_assignment(-table)].sum() / (domain >= 0).sum())


def rms(values: Array) -> float:
    """Root of the mean square of what is finite."""
    return float(np.sqrt(np.nanmean(values**2)))


def wall(side: float, phase: float = 0.5) -> Pattern:
    """Two domains; the slanting wall between them moves with the phase."""
    return lambda places: (places[:, 1] + 0.3 * (places[:, 0] - side / 2) < side * (0.35 + 0.3 * phase)).astype(int)


def quarters(side: float) -> Pattern:
    """Four domains around the middle."""
    return lambda places: (
        ((np.degrees(np.arctan2(side / 2 - places[:, 0], places[:, 1] - side / 2)) + 45) % 360) // 90
    ).astype(int)


def nowhere(places: Array) -> Array:
    """One domain."""
    return np.zeros(len(places), dtype=int)


def measure(patterns: Sequence[Pattern], kind: str, cells: int, peak: float, *, still: bool, seed: int) -> Measured:
    """Draw a frame for each pattern and measure them, as frames of one drifting crystal or each by itself."""
    side = int(cells * SPACING)
    drift = np.cumsum(np.random.default_rng(seed).normal(0, 0.5, (len(patterns), 2)), axis=0)
    drift = np.zeros_like(drift) if still else drift
    counts = 2 * np.pi * WIDTH**2 * peak
    angles = np.radians(DIRECTIONS[kind])
    vectors = SHIFT * np.stack([np.cos(angles), -np.sin(angles)], axis=1) if len(angles) else np.zeros((1, 2))
    frames = []
    for frame, (pattern, shift) in enumerate(zip(patterns, drift, strict=True)):

        def displacement(places: Array, pattern: Pattern = pattern) -> Array:
            return vectors[pattern(places)] / (1e3 * PIXEL)

        image, _ = simulate.perovskite(
            (side, side), SPACING, displacement=displacement, electrons_a=counts, electrons_b=0.4 * counts,
            background=0.1 * peak, sigma_a=WIDTH, sigma_b=WIDTH, shift=tuple(shift), margin=np.abs(drift).max() + 1,
            seed=seed, noise_seed=1000 * seed + frame,
        )  # fmt: skip
        frames.append(image)
    _, truth = simulate.perovskite((side, side), SPACING, noise=None, margin=30, seed=seed)
    sites = truth.positions[truth.sublattice == 1]
    results = displacements(np.stack(frames), registered=not still)
    places = np.stack([results["displacement/y"], results["displacement/x"]], axis=-1) / PIXEL - drift[:, None]
    domain = np.full(places.shape[:2], -1)
    for frame, pattern in enumerate(patterns):
        there = np.isfinite(places[frame]).all(axis=1)
        domain[frame, there] = pattern(sites[cKDTree(sites).query(places[frame, there])[1]])
    return Measured(results, domain, np.where(domain[..., None] >= 0, vectors[domain], np.nan))


def displacements(images: Array, *, registered: bool) -> dict[str, Array]:
    """Run the analyses before `denoise` and read what it reads."""
    steps = (["registration"] if registered else []) + ["columns", "lattice", "displacement"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.npy"
        np.save(path, images)
        config = {
            "input": {"path": str(path), "pixel_size": f"{PIXEL} nm"},
            "output": str(Path(folder) / "store.zarr"),
            "cluster": {"kind": "inline"},
            "analyses": {name: {} for name in steps},
        }
        tree = stemdask.open_results(stemdask.run(config))
        wanted = [group for group in ("registration", "lattice", "displacement") if group in tree.children]
        return {
            f"{group}/{name}": np.asarray(array.values)
            for group in wanted
            for name, array in tree[group].variables.items()
            if array.dims and array.dims[0] == "frame"
        }


def divided(stack: Memory, method: str | None = None, **given: Any) -> tuple[int, Array]:
    """Denoise a stack, unless it is to stay as measured, and return the number of domains and the labels."""
    if method is not None:
        denoise.finish(stack, denoise.DenoiseParams(method=method, **given))
    domains.finish(stack, domains.DomainsParams())
    return int(stack.attributes["domains"]["n_domains"]), stack.results["domains/label"]


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> list[str]:
    """Return a table as Markdown."""
    return ["", *("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)), ""]


def stacks() -> list[str]:
    """Stacks at few electrons: errors and labels."""
    cases = [(3.0, False), (3.0, True), (2.0, False), (2.0, True)]
    measured = [
        measure([wall(CELLS * SPACING, k / (STACK - 1) if moving else 0.5) for k in range(STACK)],
                "180°", CELLS, peak, still=False, seed=3)
        for peak, moving in cases
    ]  # fmt: skip
    names = [f"{peak:g} e, wall {'moving' if moving else 'at rest'}" for peak, moving in cases]

    def labels() -> Iterator[Sequence[str]]:
        for name, found in zip(names, measured, strict=True):
            noise, stated = found.error(found.results, "displacement")
            row = [name, f"{noise:.1f} ({stated:.1f}) pm"]
            for method in (None, "pca"):
                n, label = divided(found.memory(), method)
                row.append(f"{n} domains, {100 * found.right(label):.1f} %")
            yield row

    def errors() -> Iterator[Sequence[str]]:
        for method in METHODS[1:]:
            row = [f"`{method}`"]
            for found in measured:
                stack = found.memory()
                denoise.finish(stack, denoise.DenoiseParams(method=method))
                real, stated = found.error(stack.results, "denoised")
                row.append(f"{real:.2f} ({stated:.2f}) pm, {stated / real:.2f}")
            yield row

    return [
        f"**{STACK} frames** of {CELLS} × {CELLS} cells with a 180° wall, drifting. RMS error of the"
        " displacements (stated error in brackets), and fraction of the cells with the right label:",
        *table(["", "as measured", "labels as measured", "labels after `denoise: {}`"], labels()),
        "RMS error of the same maps after denoising (stated error in brackets), and the ratio of stated to real error:",
        *table(["", *names], errors()),
    ]


def singles() -> list[str]:
    """Single frames in which the noise of a cell is as large as the displacement."""

    def rows() -> Iterator[Sequence[str]]:
        for kind in ("180°", "90°", "closure"):
            side = WIDE * SPACING
            pattern = quarters(side) if kind == "closure" else wall(side)
            found = measure([pattern] * SINGLE, kind, WIDE, LOW, still=True, seed=7)
            noise, row = found.error(found.results, "displacement")[0], [kind]
            row.append(f"{noise:.1f} pm")
            for method in (None, "patch_pca"):
                numbers, parts = [], []
                for frame in range(SINGLE):
                    one = slice(frame, frame + 1)
                    n, label = divided(found.memory(one), method)
                    numbers.append(n)
                    parts.append(100 * found.right(label, one))
                all_found = sum(n == len(DIRECTIONS[kind]) for n in numbers)
                row.append(f"{all_found} of {SINGLE}, {min(parts):.1f} ({np.median(parts):.1f}) %")
            yield row

    return [
        f"**Single frames** of {WIDE} × {WIDE} cells, displaced by {SHIFT:g} pm: frames in which all domains"
        " are found, and fraction of the cells with the right label in the worst frame (median in brackets):",
        *table(["", "noise of a cell", "as measured", "after `patch_pca`"], rows()),
    ]


def control() -> list[str]:
    """Single frames without domains: what is called more than it is."""
    words, heads, found = {"one": "one domain", "none": "not displaced"}, [], []
    for kind, peak in (("one", LOW), ("one", HIGH), ("none", LOW), ("none", HIGH)):
        found.append(measure([nowhere] * CONTROL, kind, SMALL, peak, still=True, seed=11))
        noise = found[-1].error(found[-1].results, "displacement")[0]
        heads.append(f"{words[kind]}, {peak:g} e ({noise:.1f} pm)")

    def right(measured: Measured, method: str | None, n: int) -> str:
        given = {} if method is None else {"n_components": 2}
        true = int(bool(measured.truth[np.isfinite(measured.truth)].any()))
        numbers = [divided(measured.memory(slice(k, k + 1)), method, **given)[0] for k in range(n)]
        return f"{numbers.count(true)} of {n}"

    def rows() -> Iterator[Sequence[str]]:
        yield ["as measured", *(right(measured, None, CONTROL) for measured in found)]
        for method in METHODS[1:]:
            row = [right(measured, method, DENOISED) for measured in found[:2]]
            yield [f"after `{method}`", *row, "", ""]

    return [
        f"**No domains to distinguish**: frames of {SMALL} × {SMALL} cells, analysed one at a time, that were correctly"
        " reported as a single population or as noise about zero (noise of a cell in brackets). Two components were"
        " requested of each method, although a single frame provides none:",
        *table(["", *heads], rows()),
    ]


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    pages.add_argument(parser)
    page = parser.parse_args().write
    text = "\n".join([*stacks(), *singles(), *control()]).strip()
    pages.put(text, "maps", page)


if __name__ == "__main__":
    main()
