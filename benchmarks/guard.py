"""Speed kept over time: CPU times as ratios to a yardstick in the same run, beside those in history.json.

    python benchmarks/guard.py            # compare; exit code 1 where something takes a quarter more
    python benchmarks/guard.py --store    # and add the ratios to history.json

A ratio of two times of one run hardly depends on the machine, as the times themselves do.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from startup import ratios as startup_ratios
from whole_run import ratios as run_ratios

import stemdask
from stemdask.kernels.atoms.bond_order import bond_order
from stemdask.kernels.atoms.neighbours import find_neighbours
from stemdask.kernels.atoms.rdf import bin_edges, pair_counts
from stemdask.kernels.images.finding.columns import find_columns
from stemdask.kernels.images.fitting.joint_fit import fit_joint
from stemdask.simulate import nanocrystal, perovskite

HISTORY = Path(__file__).with_name("history.json")
SLOWER = 1.25
RECENT = 5  # versions whose median a ratio is compared with
ROUNDS = 9

Work = Callable[[], object]


def pairs_of_work() -> dict[str, tuple[Work, Work]]:
    """Return what is measured and its yardstick, by name."""
    atoms = nanocrystal(40.0).positions
    edges = bin_edges(10.0, 0.02)
    image, truth = perovskite((512, 512), seed=1)
    return {
        "bond order / pairs by a k-d tree": (
            lambda: bond_order(find_neighbours(atoms, 3.41)),
            lambda: cKDTree(atoms).query_pairs(3.41, output_type="ndarray"),
        ),
        "g(r) to 10 A / all distances": (lambda: pair_counts(atoms, edges), lambda: np.histogram(pdist(atoms), edges)),
        "columns found / smoothing": (lambda: find_columns(image), lambda: gaussian_filter(image, 3.0)),
        "joint fit / smoothing": (
            lambda: fit_joint(image, truth.positions, truth.sublattice, 3.0),
            lambda: gaussian_filter(image, 3.0),
        ),
    }


def cpu_time(work: Work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def ratio(work: Work, yardstick: Work) -> float:
    """Return the least CPU time of the work over that of the yardstick; they take turns, after one that warms up."""
    work(), yardstick()
    times = [(cpu_time(work), cpu_time(yardstick)) for _ in range(ROUNDS)]
    return min(mine for mine, _ in times) / min(theirs for _, theirs in times)


def slower(measured: dict[str, float], history: list[dict[str, dict[str, float]]]) -> dict[str, float]:
    """Return by how many times each ratio is above the median of the recent ones, where that is too many."""
    found = {}
    for name, value in measured.items():
        before = [run["ratios"][name] for run in history[-RECENT:] if name in run["ratios"]]
        if before and value > SLOWER * statistics.median(before):
            found[name] = value / statistics.median(before)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", action="store_true", help="add the ratios to history.json")
    store = parser.parse_args().store
    history = json.loads(HISTORY.read_text()) if HISTORY.exists() else []
    measured = startup_ratios() | run_ratios() | {name: ratio(*works) for name, works in pairs_of_work().items()}
    too_slow = slower(measured, history)
    known = {name for run in history[-RECENT:] for name in run["ratios"]}
    for name, value in measured.items():
        said = "" if name in known else "  nothing to compare with; --store keeps it"
        print(f"{name:34s} {value:8.3g}" + (f"  {too_slow[name]:.2f} times as before" if name in too_slow else said))
    if store:
        day = datetime.date.today().isoformat()
        rounded = {name: float(f"{value:.3g}") for name, value in measured.items()}
        history.append({"day": day, "version": stemdask.__version__, "ratios": rounded})
        HISTORY.write_text(json.dumps(history, indent=1) + "\n")
    return int(bool(too_slow))


if __name__ == "__main__":
    sys.exit(main())
