"""What a run costs beside its kernels, kernels beside another checkout and other programs: docs/performance.md.

    python benchmarks/performance.py [--only ROW ...] [--rounds 5] [--image FILE] [--tree OTHER/checkout]
        [--python OTHER/bin/python ...] [--write docs/performance.md]

CPU time of processes with all that they start, one thread, what is compared taking turns; medians, and the least and
the largest ratio of a round. `--tree` is the checkout that joint and isolated fits are compared with, `--python` an
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
from typing import NamedTuple

import numpy as np
import pages
from whole_run import HERE, SUBREAPER, environment, kernels, run, write_particle

from stemdask import simulate

#: Fits of one checkout, asked for one after the other: prints the seconds and the RMS error, px, of each.
FITS = """
import sys, time
import numpy as np
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.kernels.images.fitting.single_fit import fit_single
given = dict(np.load(sys.argv[1]))
true, numbers = given["true"], given["numbers"]
inner = np.all((true > 20) & (true < len(given["image"]) - 21), axis=1)
def joint(image, start, before):
    fit = fit_joint(image, start, numbers, 3.0, start=before)
    return fit, fit.positions[inner] - true[inner]
def isolated():
    fit = fit_single(given["apart"], given["start_apart"], 2.8, 10, noise="poisson", shape="elliptical")
    return fit, fit.positions - given["true_apart"]
first, _ = joint(given["image"], given["start"], None)
near = first.positions + np.random.default_rng(3).normal(0.0, 0.1, true.shape)
works = {
    "cold": lambda: joint(given["image"], given["start"], None),
    "warm": lambda: joint(given["again"], near, first),
    "isolated": isolated,
}
for line in sys.stdin:
    start = time.process_time()
    _, difference = works[line.strip()]()
    print(time.process_time() - start, float(np.sqrt(np.mean(difference**2))), flush=True)
"""

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


class Row(NamedTuple):
    """One line of the table: ratios of rounds, what is aimed at, and the seconds behind them."""

    what: str
    ratios: list[float]
    aim: str
    beside: str

    def line(self) -> str:
        spread = f"{min(self.ratios):.2f} – {max(self.ratios):.2f}"
        return f"| {self.what} | {statistics.median(self.ratios):.2f} | {spread} | {self.aim} | {self.beside} |"


class Asked(NamedTuple):
    rounds: int
    image: Path | None
    tree: Path | None
    folder: Path


def _seconds(of: list[float]) -> str:
    return f"{statistics.median(of):.2f} s"


def _run_over_kernels(what: str, path: Path, asked: Asked, aim: str, *more: str) -> Row:
    times = []
    for turn in range(asked.rounds + 1):
        pair = run(path, HERE, asked.folder, *more), kernels(path, HERE)
        times += [pair] if turn else []  # the first round compiles
    whole, alone = ([pair[k] for pair in times] for k in (0, 1))
    return Row(what, [a / b for a, b in times], aim, f"{_seconds(whole)}, kernels {_seconds(alone)}")


def image(asked: Asked) -> Row:
    """Return one image by the command of the README, report included, over its kernels."""
    path = asked.image or asked.folder / "image.npy"
    if asked.image is None:
        np.save(path, simulate.perovskite((512, 512), seed=1)[0])
    return _run_over_kernels(f"{path.name}, `stemdask run` with its report / kernels", path, asked, "3", "--report")


def stack(asked: Asked) -> Row:
    """Return a stack of images over its kernels."""
    path, rng = asked.folder / "stack.npy", np.random.default_rng(0)
    still, _ = simulate.perovskite((512, 512), seed=1)
    np.save(path, np.array([still + rng.normal(0, 0.02 * still.std(), still.shape) for _ in range(32)], np.float32))
    more = ("--no-report", "-q", "--cluster", "inline")
    return _run_over_kernels("32 frames of 512², inline, run / kernels", path, asked, "1.25", *more)


def atoms(asked: Asked) -> Row:
    """Return a trajectory of small particles over reading it and its kernels."""
    path = asked.folder / "atoms.xyz"
    n = write_particle(path, 23.0, 3000)
    return _run_over_kernels(f"3,000 × {n} atoms, run / reading and kernels", path, asked, "1.25", "--no-report", "-q")


def strain(asked: Asked) -> Row:
    """Return adding `strain` to a finished run over the fresh run with it."""
    path, rng = asked.folder / "series.npy", np.random.default_rng(0)
    still, _ = simulate.perovskite((384, 384), seed=1)
    np.save(path, np.array([still + rng.normal(0, 0.02 * still.std(), still.shape) for _ in range(24)], np.float32))
    usual, with_strain = ("--no-report", "-q", "--cluster", "inline"), ("--set", "analyses.strain={}")
    times = []
    for turn in range(asked.rounds + 1):
        run(path, HERE, asked.folder, *usual)
        added = run(path, HERE, asked.folder, *usual, *with_strain, fresh=False)
        pair = added, run(path, HERE, asked.folder, *usual, *with_strain)
        times += [pair] if turn else []
    added, fresh = ([pair[k] for pair in times] for k in (0, 1))
    ratios = [a / b for a, b in times]
    return Row("`strain` added to 24 frames of 384² / fresh", ratios, "0.1", f"{_seconds(added)}, {_seconds(fresh)}")


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
    beside = f"{_seconds(last)}, {_seconds(first)} per frame"
    return Row("last / first frames of a stack that drifts by two cells", ratios, "1.2", beside)


def fits(asked: Asked) -> list[Row]:
    """Return columns per CPU-s of joint and isolated fits over those of the other checkout."""
    if asked.tree is None:
        return []

    def draw(**more: int) -> tuple[np.ndarray, simulate.Truth]:
        shifts, widths = np.random.default_rng(1), {"sigma_a": 2.8, "sigma_b": 2.8}
        move = lambda p: shifts.uniform(-0.4, 0.4, p.shape)  # noqa: E731
        return simulate.perovskite((1000, 1000), 16.0, rotation=7.0, displacement=move, **widths, **more)

    rng = np.random.default_rng(2)
    single, alone = simulate.lattice_image(
        (1000, 1000), [[0.0, 30.0], [30.0, 0.0]], (simulate.MotifColumn((0.0, 0.0), 5000.0, 3.0, 0),), background=2.0
    )
    (picture, truth), (again, _) = draw(), draw(noise_seed=5)
    apart = alone.positions[np.all((alone.positions > 16) & (alone.positions < 983), axis=1)]
    given = asked.folder / "fits.npz"
    np.savez(
        given,
        image=picture,
        again=again,
        true=truth.positions,
        numbers=truth.sublattice,
        start=truth.positions + rng.normal(0.0, 0.35, truth.positions.shape),
        apart=single,
        true_apart=apart,
        start_apart=apart + rng.normal(0.0, 0.3, apart.shape),
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FITS, str(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(tree),
            cwd=tree,
            text=True,
        )
        for tree in (HERE, asked.tree)
    ]

    def told(process: subprocess.Popen[str], work: str) -> list[float]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{work}\n")
        process.stdin.flush()
        return [float(number) for number in process.stdout.readline().split()]

    rows = []
    works = {
        "cold": ("Joint fit", "2"),
        "warm": ("Joint fit from the frame before", "3"),
        "isolated": ("Isolated", "1.8"),
    }
    for work, (what, aim) in works.items():
        rounds = [[told(process, work) for process in processes] for _ in range(asked.rounds + 1)][1:]
        ratios = [there[0] / here[0] for here, there in rounds]
        n = len(apart) if work == "isolated" else int(truth.inside.sum())
        speed = n / statistics.median(here[0] for here, _ in rounds)
        errors = " and ".join(f"{each[1]:.4f}" for each in rounds[0])
        label = f"{what}, columns per CPU-s / {asked.tree.name}"
        rows.append(Row(label, ratios, aim, f"{speed:,.0f} columns per CPU-s; errors {errors} px"))
    for process in processes:
        process.communicate()
    return rows


ROWS: dict[str, Callable[[Asked], Row | list[Row]]] = {
    "image": image,
    "stack": stack,
    "atoms": atoms,
    "strain": strain,
    "drift": drift,
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
    head = "| | ratio | range over rounds | aim | CPU time |\n|---|---|---|---|---|"
    return "\n".join([f"{_machine()}; {rounds} rounds.", "", head, *(row.line() for row in rows)])


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
