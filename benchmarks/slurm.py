"""Time from start to first block, and time of a block, of SLURM jobs against processes of one machine.

    python benchmarks/slurm.py [--partition P] [--interface ib0] [--blocks 100]

The blocks are small on purpose: eight atoms in each frame, so that almost all of a block's time is that of handing it
out, its files and its acknowledgement. Every kind runs twice, and the second run counts: kernels are compiled by then.
Where no SLURM answers, the private one of the tests is started (it needs root and its packages), or else the reason
is said and nothing is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.engine.progress import Progress
from stemdask.engine.run import run

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "slurm"))
from private_slurm import PrivateSlurm, missing

FRAMES_A_BLOCK = 2


class Clock:
    """When the first worker came, and the first and the last block were done."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self.first_worker = self.first_block = self.last_block = float("nan")
        self._at_first = self._at_last = 0

    def __call__(self, progress: Progress) -> None:
        now = time.perf_counter() - self._begun
        if progress.workers and np.isnan(self.first_worker):
            self.first_worker = now
        if progress.fresh and np.isnan(self.first_block):
            self.first_block, self._at_first = now, progress.fresh
        if progress.fresh > self._at_last:
            self.last_block, self._at_last = now, progress.fresh

    @property
    def a_block(self) -> float:
        """Seconds between two blocks."""
        return (self.last_block - self.first_block) / ((self._at_last - self._at_first) / FRAMES_A_BLOCK)


def particles(path: Path, n: int) -> Path:
    """Write cubes of eight atoms."""
    corners = 2.8 * np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    noise = np.random.default_rng(1).normal(0, 0.05, (n, 8, 3))
    with path.open("w") as file:
        for frame in corners + noise:
            file.write("8\n\n" + "".join(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in frame))
    return path


def timed(folder: Path, frames: Path, name: str, cluster: dict[str, Any]) -> Clock:
    """Return the clock of the second of two runs."""
    for number in range(2):
        clock = Clock()
        config = {
            "input": {"path": str(frames)},
            "output": str(folder / f"{name}-{number}.zarr"),
            "analyses": {"coordination": {}},
            "block_frames": FRAMES_A_BLOCK,
            "cluster": cluster,
        }
        run(config, progress=clock)
    return clock


@contextlib.contextmanager
def some_slurm(folder: Path) -> Iterator[str | None]:
    """Have a SLURM, that of the site or a private one; yield why there is none, or None."""
    with contextlib.suppress(OSError):
        if subprocess.run(["sinfo"], capture_output=True, timeout=20, check=False).returncode == 0:
            yield None
            return
    if reason := missing():
        yield reason
        return
    private = PrivateSlurm(folder)
    try:
        private.start()
        os.environ |= private.environment
        yield None
    finally:
        private.stop()


def main() -> None:
    """Time every kind and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partition")
    parser.add_argument("--interface", default="lo", help="network of the nodes; lo for a private SLURM")
    parser.add_argument("--blocks", type=int, default=100)
    given = parser.parse_args()
    jobs = {"interface": given.interface, "partition": given.partition, "memory": "1500 MiB", "poll_seconds": 1}
    kinds: dict[str, dict[str, Any]] = {"inline": {"kind": "inline"}}
    for workers in (1, 2):
        kinds[f"processes {workers}"] = {"kind": "processes", "workers": workers}
        kinds[f"slurm {workers}"] = {"kind": "slurm", "workers": workers, **jobs}
    with tempfile.TemporaryDirectory() as name, some_slurm(Path(name) / "slurm") as why:
        if why is not None:
            sys.exit(f"nothing timed: {why}")
        frames = particles(Path(name) / "particles.xyz", given.blocks * FRAMES_A_BLOCK)
        print(f"{'workers':>12} {'first worker':>13} {'first block':>12} {'a block':>9}   of {given.blocks} blocks")
        for kind, cluster in kinds.items():
            clock = timed(Path(name), frames, kind.replace(" ", "-"), cluster)
            print(
                f"{kind:>12} {clock.first_worker:11.1f} s {clock.first_block:10.1f} s {1000 * clock.a_block:6.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
