"""Memory of a worker and time of a run that a plan names, beside those of the run: docs/performance.md.

    python benchmarks/plan_numbers.py [--only WORD] [--write docs/performance.md] [FILE ...]

Inputs of both halves, small and large, simulated, and the files that are named; few, the usual and all analyses; one
worker of each kind. Memory is the largest sum over a worker and its helper of what is theirs, pages that several share
in equal parts (proportional set size). Time is that of a processor, of the whole run with all its processes but without
a report: what a run takes that has a core to itself, whatever else this machine does meanwhile.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pages
import psutil
import yaml
from whole_run import HERE, SUBREAPER, environment, write_particle

from stemdask import simulate

PLAN = """
import json, sys
from pathlib import Path
from stemdask.config.document import read
from stemdask.planning.estimate import estimate
from stemdask.planning.plan import draw
from stemdask.planning.rehearsal import seconds_after
from stemdask.planning.resolve import resolve
from stemdask.planning.survey import survey
resolved = resolve(read(Path(sys.argv[1])))
tried = survey(resolved)
drawn = draw(resolved, tried, Path(resolved.config.output))
apart = resolved.config.cluster.kind not in ("inline", "threads")
said = estimate(drawn, tried, seconds_after(resolved, drawn, tried), apart=apart)
print(json.dumps([said.frames, said.worker_bytes, 60 * said.minutes]))
"""
FEW = {"images": {"columns": {}}, "atoms": {"rdf": {}}}
ALL: dict[str, dict[str, Any]] = {
    "images": {
        name: {}
        for name in (
            "preprocess", "denoise_images", "registration", "columns", "lattice", "scan_distortion", "displacement",
            "strain", "intensity", "denoise", "domains",
        )
    },
    "atoms": {
        name: {}
        for name in (
            "shape", "rdf", "coordination", "bond_order", "surface", "structure", "lattice_fit", "finite_rdf",
            "nearest", "diffraction", "bond_angles", "centrosymmetry", "voronoi", "short_range_order", "clusters",
            "composition", "facets", "tracks", "phases", "radial_profile", "uncertainty",
        )
    },
}  # fmt: skip


class Case(NamedTuple):
    """An input, what is done with it, and by which kind of worker."""

    title: str
    path: Path
    input: dict[str, str]
    which: str
    kind: str

    @property
    def half(self) -> str:
        return "images" if "pixel_size" in self.input or self.path.suffix in (".dm4", ".dm3", ".hspy") else "atoms"

    def config(self, folder: Path) -> Path:
        analyses = {"few": FEW, "all": ALL}.get(self.which, {}).get(self.half)
        data = {
            "input": {"path": str(self.path), **self.input},
            "output": str(folder / "run.zarr"),
            "cluster": {"kind": self.kind} | ({} if self.kind == "inline" else {"workers": 1}),
        }
        (folder / "run.yaml").write_text(yaml.safe_dump(data | ({"analyses": analyses} if analyses else {})))
        return folder / "run.yaml"


def inputs(folder: Path) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """Write images and structures, small and large; return them with what a config says of them."""
    rng = np.random.default_rng(0)
    for size, n in ((128, 64), (512, 8), (1024, 4)):
        image, _ = simulate.perovskite((size, size), seed=1)
        path = folder / f"images{size}.npy"
        np.save(path, np.array([image + rng.normal(0, 0.02 * image.std(), image.shape) for _ in range(n)], np.float32))
        yield f"{n} images of {size}²", path, {"pixel_size": "0.03 nm"}
    for diameter, n in ((20.0, 1000), (60.0, 12), (140.0, 3)):
        path = folder / f"atoms{diameter:.0f}.xyz"
        yield f"{n} particles of {write_particle(path, diameter, n):,} atoms", path, {}


def cases(folder: Path, files: list[Path]) -> Iterator[Case]:
    """Return what is compared: analyses and workers of each kind on small inputs, what is usual on the others."""
    every = {"128": ("usual", "few", "all"), "512": ("usual", "all"), "20": ("usual", "few"), "60": ("usual", "all")}
    for title, path, given in chain(inputs(folder), ((file.name, file, {}) for file in files)):
        size = path.stem.removeprefix("images").removeprefix("atoms") if path not in files else ""
        for which in every.get(size, ("usual",)):
            yield Case(title, path, given, which, "processes")
        for kind in ("inline", "threads") if size in ("128", "20") else ():
            yield Case(title, path, given, "usual", kind)


def plan(config: Path) -> tuple[int, float, float]:
    """Return what a plan says: frames, bytes of a worker, seconds."""
    command = [sys.executable, "-c", PLAN, str(config)]
    done = subprocess.run(command, env=environment(HERE), cwd=config.parent, check=True, capture_output=True, text=True)
    frames, worker_bytes, seconds = json.loads(done.stdout)
    return int(frames), float(worker_bytes), float(seconds)


def run(config: Path, kind: str) -> tuple[float, float]:
    """Return what a run takes: bytes of its worker, and seconds of a processor."""
    before = _spent()
    command = [sys.executable, "-m", "stemdask", "run", str(config), "--no-report", "-q", "--fresh"]
    started = subprocess.Popen(
        command, env=environment(HERE), cwd=config.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    most = 0.0
    while started.poll() is None:
        most = max(most, _memory(psutil.Process(started.pid), kind))
        time.sleep(0.25)
    if started.returncode not in (0, 3):
        raise SystemExit(f"{config}: exit code {started.returncode}")
    while True:  # what outlives it
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    return most, _spent() - before


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _memory(driver: psutil.Process, kind: str) -> float:
    """Return the bytes of a worker and its helpers: the driver itself, where it is the worker."""
    found = 0.0
    try:
        workers = [driver]
        if kind == "processes":
            workers = [one for one in driver.children() if "multiprocessing.spawn" in " ".join(one.cmdline())]
        for worker in workers:
            for one in (worker, *worker.children(recursive=True)):
                found += one.memory_full_info().pss
    except psutil.Error:
        return 0.0
    return found


def main() -> None:
    """Compare every case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--only", default="", help="a word of the cases that are compared")
    pages.add_argument(parser)
    asked = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    head = ["input", "analyses", "workers", "memory: plan", "run", "run / plan", "time: plan", "run", "run / plan"]
    rows = [head, ["---"] * len(head)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in cases(folder, [path.absolute() for path in asked.files]):
            if asked.only not in f"{case.title} {case.which} {case.kind}":
                continue
            config = case.config(folder)
            if case.kind == "processes":
                run(config, case.kind)  # compiles
            _, memory, seconds = plan(config)
            took, spent = run(config, case.kind)
            of_memory = [f"{memory / 2**20:,.0f} MiB", f"{took / 2**20:,.0f} MiB", f"{took / memory:.2f}"]
            of_time = [f"{seconds:.1f} s", f"{spent:.1f} s", f"{spent / seconds:.2f}"]
            rows.append([case.title, case.which, case.kind, *of_memory, *of_time])
            print(*rows[-1], sep=" | ", flush=True)
    pages.put("\n".join("| " + " | ".join(row) + " |" for row in rows), "plan", asked.write)


if __name__ == "__main__":
    main()
