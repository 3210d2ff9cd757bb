"""CPU time of whole runs, all their processes counted, as a multiple of what their kernels take alone.

    python benchmarks/whole_run.py [--rounds 5] [--tree OTHER/checkout] [FILE ...]

Simulated inputs, and the files that are named. `--tree` has the runs of another checkout take turns with these.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stemdask import simulate

HERE = Path(__file__).parents[1]
SUBREAPER = 36  # an option of prctl: what a child leaves behind is waited for, too
#: What comes once before, and each frame, twice, the second time with their kernels loaded.
KERNELS = """
import resource, sys
from collections.abc import Sequence
from stemdask.analyses import chain, registry
from stemdask.planning.steps import steps
from stemdask.config.document import of_inputs
from stemdask.sources.opening import open_source
def spent():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
class Frames(Sequence):
    def __init__(self, n):
        self.n = n
    def __len__(self):
        return self.n
    def __getitem__(self, index):
        return source.read(range(self.n)[index])
source = open_source(sys.argv[1])
chosen, _ = steps(of_inputs(sys.argv[1:]), source.kind, registry.defaults(source))
for n in (min(2, source.n_frames), source.n_frames):
    start = spent()
    prepared = chain.prepare(source.kind, chosen, Frames(n))
    for index in range(n):
        frame = source.read(index)
        frame.results.update(prepared)
        chain.analyse(source.kind, chosen, frame)
print(spent() - start)
"""

#: What runs are held against over time: nothing of it changes when stemdask does.
REFERENCE = """
import numpy as np
image = np.random.default_rng(0).random((512, 512))
for _ in range(40):
    image = np.fft.irfft2(np.fft.rfft2(image))
    np.sort(image, axis=1)
"""


def write_particle(path: Path, diameter: float, n_frames: int) -> int:
    """Write frames of a vibrating particle of platinum; return its number of atoms."""
    trajectory = simulate.trajectory(simulate.nanocrystal(diameter), n_frames, sigma=0.05, seed=1)
    with path.open("w") as file:
        for frame in map(trajectory.read, range(n_frames)):
            file.write(f"{len(frame.positions)}\n\n")
            file.writelines(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in frame.positions)
    return len(trajectory.read(0).positions)


def write_stack(path: Path, n_frames: int, side: int) -> Path:
    """Write images of one crystal that differ by noise; return their path."""
    rng = np.random.default_rng(0)
    still, _ = simulate.perovskite((side, side), seed=1)
    noisy = [still + rng.normal(0, 0.02 * still.std(), still.shape) for _ in range(n_frames)]
    np.save(path, np.array(noisy, np.float32))
    return path


def inputs(folder: Path) -> list[Path]:
    """Write an image, a stack and a trajectory."""
    rng = np.random.default_rng(0)
    image, _ = simulate.perovskite((512, 512), seed=1)
    np.save(folder / "image.npy", image)
    small = image[:256, :256]
    stack = [small + rng.normal(0, 0.02 * small.std(), small.shape) for _ in range(16)]
    np.save(folder / "stack.npy", np.array(stack, np.float32))
    write_particle(folder / "atoms.xyz", 22.0, 200)
    return [folder / name for name in ("image.npy", "stack.npy", "atoms.xyz")]


def environment(tree: Path) -> dict[str, str]:
    """Return this one for the modules of a checkout, in one thread; they are compiled once, as for a user."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Spent(NamedTuple):
    """What a command took, s."""

    cpu: float
    """CPU time with all that it starts, those that outlive it too."""
    wall: float
    """Until it ended."""


def spent(command: list[str], tree: Path, **more: str) -> Spent:
    """Return what a command takes, with more variables in its environment."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment(tree) | more, cwd=tree, check=True, capture_output=True)
    wall = time.perf_counter() - start
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def run(path: Path, tree: Path, folder: Path, *more: str, fresh: bool = True) -> Spent:
    command = [sys.executable, "-m", "stemdask", "run", str(path), "-o", str(folder / f"{path.stem}.zarr"), *more]
    return spent([*command, *(["--fresh"] if fresh else [])], tree)


def kernels(path: Path, tree: Path) -> float:
    command = [sys.executable, "-c", KERNELS, str(path)]
    return float(subprocess.check_output(command, env=environment(tree), cwd=tree, text=True))


def ratios(rounds: int = 5) -> dict[str, float]:
    """Return the CPU time of the whole command line, with and without a report, over that of fixed work; medians."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, _, atoms = inputs(folder)
        runs = {"run of an image": (image, "--report"), "run of 200 structures": (atoms, "--no-report", "-q")}
        for path, *more in runs.values():
            run(path, HERE, folder, *more)  # compiles
        for _ in range(rounds):
            fixed = spent([sys.executable, "-c", REFERENCE], HERE).cpu
            for what, (path, *more) in runs.items():
                found.setdefault(f"{what} / fixed work", []).append(run(path, HERE, folder, *more).cpu / fixed)
    return {what: statistics.median(values) for what, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tree", type=Path)
    asked = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    trees = [HERE, *([asked.tree] if asked.tree else [])]
    print(f"{'input':24s} {'tree':20s} {'kernels [s]':>12s} {'run [s]':>10s} {'ratio':>8s}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in [*inputs(folder), *asked.files]:
            found: dict[Path, list[tuple[float, float]]] = {tree: [] for tree in trees}
            for _ in range(asked.rounds):
                for tree in trees:
                    found[tree].append((kernels(path, tree), run(path, tree, folder, "--no-report", "-q").cpu))
            for tree, times in found.items():
                alone, whole = (statistics.median(pair[k] for pair in times) for k in (0, 1))
                ratio = statistics.median(b / a for a, b in times)
                print(f"{path.name:24s} {tree.name:20s} {alone:12.2f} {whole:10.2f} {ratio:8.2f}", flush=True)


if __name__ == "__main__":
    main()
