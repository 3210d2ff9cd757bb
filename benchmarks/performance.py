"""What a run costs beside its kernels, kernels beside another checkout and other programs: docs/performance.md.

    python benchmarks/performance.py [--only ROW ...] [--rounds 5] [--image FILE] [--tree OTHER/checkout]
        [--python OTHER/bin/python ...] [--write docs/performance.md]

CPU time of processes with all that they start, one thread, what is compared taking turns; medians, and the least and
the largest value of a round. `--tree` is the checkout that joint and isolated fits are compared with, `--python` an
interpreter with the programs that this environment lacks. A row that isn't named keeps its place in the page.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pages
import scale
from fits import fits
from rows import Asked, Row, in_seconds
from whole_run import HERE, SUBREAPER, Spent, environment, kernels, run, write_particle, write_stack

from stemdask import simulate

#: Seconds of each frame by its kernels, in one process, the first one done once before.
FRAMES = """
import sys, time
from stemdask.analyses import chain, registry
from stemdask.config.document import of_inputs
from stemdask.planning.steps import steps
from stemdask.sources.opening import open_source
source = open_source(sys.argv[1])
chosen, _ = steps(of_inputs(sys.argv[1:]), source.kind, registry.defaults(source))
frames = [source.read(index) for index in range(source.n_frames)]
prepared = chain.prepare(source.kind, chosen, frames)
for frame in [frames[0], *frames]:
    frame.results.clear()
    frame.results.update(prepared)
    start = time.process_time()
    chain.analyse(source.kind, chosen, frame)
    print(time.process_time() - start)
"""


def _run_over_kernels(what: str, path: Path, asked: Asked, aim: str, *more: str) -> Row:
    times = []
    for turn in range(asked.rounds + 1):
        pair = run(path, HERE, asked.folder, *more).cpu, kernels(path, HERE)
        times += [pair] if turn else []  # the first round compiles
    whole, alone = ([pair[k] for pair in times] for k in (0, 1))
    return Row(what, [a / b for a, b in times], aim, f"{in_seconds(whole)}, kernels {in_seconds(alone)}")


def image(asked: Asked) -> Row:
    """Return one image by the command of the README, report included, over its kernels."""
    path = asked.image or asked.folder / "image.npy"
    if asked.image is None:
        np.save(path, simulate.perovskite((512, 512), seed=1)[0])
    return _run_over_kernels(f"{path.name}, `stemdask run` with its report / kernels", path, asked, "3", "--report")


def wide_image(asked: Asked) -> Row:
    """Return one large image over its kernels, which are those of one frame: one fit of all columns."""
    path = asked.folder / "wide.npy"
    drawn, truth = simulate.perovskite((4096, 4096), seed=1)
    np.save(path, drawn.astype(np.float32))
    what = f"4096² image of {truth.inside.sum():,} columns, run / kernels"
    return _run_over_kernels(what, path, asked, "1.15", "--no-report", "-q")


#: Of runs whose frames alone are of interest.
BARE = ("--no-report", "-q", "--cluster", "inline")


def _stack_over_kernels(asked: Asked, n_frames: int, aim: str) -> Row:
    path = write_stack(asked.folder / "stack.npy", n_frames, 512)
    return _run_over_kernels(f"{n_frames} frames of 512², inline, run / kernels", path, asked, aim, *BARE)


def stack(asked: Asked) -> Row:
    """Return a stack of images over its kernels."""
    return _stack_over_kernels(asked, 32, "1.25")


def long_stack(asked: Asked) -> Row:
    """Return a stack that takes a minute over its kernels."""
    return _stack_over_kernels(asked, 200, "1.08")


def workers(asked: Asked) -> list[Row]:
    """Return what a second worker gains, and what a frame costs in its process beside the driver's.

    A frame costs the difference between runs of 64 and of 16 frames, in blocks of the same size.
    """
    path, n, few = write_stack(asked.folder / "workers.npy", 64, 512), 64, 16
    alike = ("--no-report", "-q", "--set", "block_frames=4")

    def ran(kind: str, number: int, n_frames: int) -> Spent:
        chosen = ("--set", f"cluster.kind={kind}", "--set", f"input.frames=0:{n_frames}")
        several = () if kind == "inline" else ("--set", f"cluster.workers={number}")
        return run(path, HERE, asked.folder, *alike, *chosen, *several)

    kinds = ("threads", "processes")
    frames: dict[str, list[float]] = {kind: [] for kind in ("inline", *kinds)}
    walls: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    alone: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    ran("inline", 1, few)  # compiles
    for _ in range(asked.rounds):
        frames["inline"].append((ran("inline", 1, n).cpu - ran("inline", 1, few).cpu) / (n - few))
        for kind in kinds:
            two, short, one = ran(kind, 2, n), ran(kind, 2, few), ran(kind, 1, n)
            frame = (two.cpu - short.cpu) / (n - few)
            frames[kind].append(frame)
            walls[kind].append((one.wall, two.wall))
            alone[kind].append((one.cpu, two.cpu - n * frame / 2))
    rows = []
    for how, times in (("wall clock", walls), ("from CPU times", alone)):
        for kind in kinds:
            gained = [one / (2 * two) for one, two in times[kind]]
            what = f"{n} frames of 512², 1 worker / twice 2 workers, {kind}, {how}"
            rows.append(
                Row(what, gained, "0.92", ", ".join(in_seconds([pair[k] for pair in times[kind]]) for k in (0, 1)))
            )
    for kind in kinds:
        ratios = [a / b for a, b in zip(frames[kind], frames["inline"], strict=True)]
        beside = f"{in_seconds(frames[kind])}, {in_seconds(frames['inline'])} per frame"
        rows.append(Row(f"a frame of 512² with 2 {kind} / inline", ratios, "1.05", beside))
    return rows


def atoms(asked: Asked) -> Row:
    """Return a trajectory of small particles over reading it and its kernels."""
    path = asked.folder / "atoms.xyz"
    n = write_particle(path, 23.0, 3000)
    return _run_over_kernels(f"3,000 × {n} atoms, run / reading and kernels", path, asked, "1.25", "--no-report", "-q")


def strain(asked: Asked) -> list[Row]:
    """Return adding `strain` to finished runs of few and of many frames over the fresh runs with it."""
    with_strain = ("--set", "analyses.strain={}")

    def added_and_fresh(path: Path) -> tuple[float, float]:
        run(path, HERE, asked.folder, *BARE)
        added = run(path, HERE, asked.folder, *BARE, *with_strain, fresh=False)
        return added.cpu, run(path, HERE, asked.folder, *BARE, *with_strain).cpu

    stacks = {n: write_stack(asked.folder / f"series{n}.npy", n, 384) for n in (24, 200)}
    added_and_fresh(stacks[24])  # compiles
    times: dict[int, list[tuple[float, float]]] = {n: [] for n in stacks}
    for _ in range(asked.rounds):
        for n, path in stacks.items():
            times[n].append(added_and_fresh(path))
    rows = []
    for n, pairs in times.items():
        added, fresh = (in_seconds([pair[k] for pair in pairs]) for k in (0, 1))
        what = f"`strain` added to {n} frames of 384² / fresh"
        rows.append(Row(what, [a / b for a, b in pairs], "0.1", f"{added}, {fresh}"))
    return rows


def drift(asked: Asked) -> Row:
    """Return the last frames of a stack that drifts by two cells over the first ones."""
    path, spacing, n = asked.folder / "drift.npy", 16.0, 8
    wide, _ = simulate.perovskite((320, 320), spacing, seed=1)
    starts = np.rint(np.linspace(0, 2 * spacing, n)).astype(int)
    np.save(path, np.array([wide[k : k + 256, k : k + 256] for k in starts], np.float32))
    ratios, first, last = [], [], []
    for _ in range(asked.rounds):
        command = [sys.executable, "-c", FRAMES, str(path)]
        told = subprocess.check_output(command, env=environment(HERE), cwd=HERE, text=True)
        seconds = [float(line) for line in told.split()][1:]
        first.append(statistics.mean(seconds[:2]))
        last.append(statistics.mean(seconds[-2:]))
        ratios.append(last[-1] / first[-1])
    beside = f"{in_seconds(last)}, {in_seconds(first)} per frame"
    return Row("last / first frames of a stack that drifts by two cells", ratios, "1.2", beside)


ROWS: dict[str, Callable[[Asked], Row | list[Row]]] = {
    "image": image,
    "wide image": wide_image,
    "stack": stack,
    "long stack": long_stack,
    "workers": workers,
    "atoms": atoms,
    "strain": strain,
    "drift": drift,
    "files": scale.files,
    "million frames": scale.million_frames,
    "thousand workers": scale.thousand_workers,
    "files of a store": scale.files_of_store,
    "fits": fits,
}
#: Comparisons with other programs.
PEERS = {"peers of atoms": ["atoms.py"], "peers of columns": ["columns.py", "--only", "fits"]}


def _machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("stemdask", "numpy", "numba", "scipy"))
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    machine = f"{os.cpu_count()} cores ({platform.machine()}) with {busy:.1f} busy processes each"
    return f"{datetime.date.today():%Y-%m-%d}, {machine}, Python {platform.python_version()}, {versions}"


def table(rows: list[Row], rounds: int) -> str:
    """Return rows as a table under a line that says where and when."""
    head = f"| | {rows[0].unit} | range over rounds | aim | measured |\n|---|---|---|---|---|"
    times = f"{rounds} round{'s' if rounds > 1 else ''}"
    return "\n".join([f"{_machine()}; {times}.", "", head, *(row.line() for row in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[*ROWS, *PEERS], default=[*ROWS, *PEERS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image", type=Path, help="an image instead of a simulated one")
    parser.add_argument("--tree", type=Path, help="another checkout")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with other programs")
    pages.add_argument(parser)
    told = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    for name in told.only:
        with tempfile.TemporaryDirectory() as folder:
            asked = Asked(told.rounds, told.image, told.tree, Path(folder))
            if name in ROWS:
                found = ROWS[name](asked)
                rows = found if isinstance(found, list) else [found]
                text = table(rows, told.rounds) if rows else ""
            else:
                script, *options = PEERS[name]
                command = [sys.executable, str(Path(__file__).with_name(script)), *options, "--python", told.python]
                said = subprocess.check_output(command, env=environment(HERE), text=True).strip()
                text = f"{_machine()}.\n\n" + (said if "|---|" in said else f"```text\n{said}\n```")
            if text:
                pages.put(text, name, told.write)


if __name__ == "__main__":
    main()
