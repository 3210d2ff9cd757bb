"""Memory of a worker and minutes that a plan names, beside those of the run.

    python benchmarks/plan_numbers.py [FILE ...]

Simulated inputs of both halves, and the files that are named; each with the usual analyses and one worker process.
Memory is the largest sum over a worker and its helper of what is theirs, pages that several share in equal parts
(proportional set size); minutes are those of the frames, from the first block to the last.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from stemdask import simulate
from stemdask.config.document import of_inputs
from stemdask.engine.run import execute
from stemdask.planning.estimate import Estimate, estimate
from stemdask.planning.plan import draw
from stemdask.planning.resolve import resolve
from stemdask.planning.survey import survey
from stemdask.results import reader


class Watch(threading.Thread):
    """Looks at the worker of this process until it is told to end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._ending = threading.Event()

    def run(self) -> None:
        """Keep the largest memory of a worker and its helpers."""
        while not self._ending.wait(0.1):
            for child in psutil.Process().children():
                try:
                    if "multiprocessing.spawn" in " ".join(child.cmdline()):
                        family = [child, *child.children(recursive=True)]
                        self.most = max(self.most, sum(one.memory_full_info().pss for one in family))
                except psutil.Error:
                    continue

    def end(self) -> int:
        """Stop, and return the largest memory seen, bytes."""
        self._ending.set()
        self.join()
        return self.most


def inputs(folder: Path) -> list[tuple[str, dict[str, str]]]:
    """Write images and structures, small and large; return their paths with what a config says of them."""
    found = []
    for size, n in ((128, 16), (512, 6)):
        image, _ = simulate.perovskite((size, size), seed=1)
        noise = np.random.default_rng(0).normal(0, 0.02 * image.std(), (n, size, size))
        np.save(folder / f"images{size}.npy", (image + noise).astype(np.float32))
        found.append((str(folder / f"images{size}.npy"), {"pixel_size": "0.03 nm"}))
    for diameter, n in ((20.0, 200), (60.0, 12)):
        trajectory = simulate.trajectory(simulate.nanocrystal(diameter), n, sigma=0.05, seed=1)
        path = folder / f"atoms{diameter:.0f}.xyz"
        with path.open("w") as file:
            for frame in map(trajectory.read, range(n)):
                file.write(f"{len(frame.positions)}\n\n")
                file.writelines(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in frame.positions)
        found.append((str(path), {}))
    return found


def compare(path: str, of_input: dict[str, str], store: Path) -> tuple[Estimate, int, float]:
    """Plan and run; return the estimate, the bytes of the worker and the minutes of its frames."""
    document = of_inputs([path])
    document.data["input"].update(of_input)
    document.data.update(output=str(store), cluster={"kind": "processes", "workers": 1})
    resolved = resolve(document)
    tried = survey(resolved)
    said = estimate(draw(resolved, tried, store), tried)
    watch = Watch()
    watch.start()
    try:
        execute(document)
    finally:
        most = watch.end()
    seconds = reader.open_results(store)["frames"]["seconds"]
    return said, most, float(seconds.sum()) / 60


def main() -> None:
    """Compare every input and print a table."""
    with tempfile.TemporaryDirectory() as name:
        every = [*inputs(Path(name)), *((path, {}) for path in sys.argv[1:])]
        print(f"{'input':>24} {'frames':>7} {'plan MiB':>9} {'run MiB':>8} {'plan s':>7} {'run s':>7}", flush=True)
        for k, (path, of_input) in enumerate(every):
            begun = time.perf_counter()
            said, most, minutes = compare(path, of_input, Path(name) / f"{k}.zarr")
            print(
                f"{Path(path).name[:24]:>24} {said.frames:7d} {said.worker_bytes / 2**20:9.0f} {most / 2**20:8.0f} "
                f"{60 * said.minutes:7.1f} {60 * minutes:7.1f}   ({time.perf_counter() - begun:.0f} s in all)",
                flush=True,
            )


if __name__ == "__main__":
    main()
