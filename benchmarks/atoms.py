"""Bond order, structure types and g(r) of nanocrystals, side by side with the programs that people use.

    python benchmarks/atoms.py [--python OTHER/bin/python] [--sizes 314 2500 20000 200000]

Every program runs in a process of its own with one thread, one after the other for each size, and is timed by the CPU
time of its process. `--python` names an interpreter that has the programs which this one lacks. What
is installed nowhere is named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OVITO_THREAD_COUNT"), "1"
)
MODULES = {"stemdask": "stemdask", "ovito": "ovito", "pyscal3": "pyscal3", "freud": "freud", "pyboo": "boo"}
CUTOFF, R_MAX, WIDTH = 3.41, 10.0, 0.02
#: Bonds of platinum, and a distance between its second and third shells [angstrom].
NEAREST, BEYOND_SECOND = 2.77, 4.35
TASKS = ("order", "CNA", "PTM", "g(r) to 10 Å", "g(r), all pairs", "frame")
ALL_PAIRS = 5000  # atoms beyond which n² distances are left out


def particle(n: int) -> np.ndarray:
    """Return a round fcc particle of platinum with thermal noise, atoms in the order of the lattice."""
    a = 3.912
    cells = int(np.ceil((n / 4) ** (1 / 3) * 1.3)) + 2
    grid = np.stack(np.meshgrid(*[np.arange(-cells, cells + 1)] * 3, indexing="ij"), -1).reshape(-1, 1, 3) / 1.0
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    sites = ((grid + basis).reshape(-1, 3) + np.array([0.1, 0.2, 0.3])) * a
    inside = np.sort(np.argsort(np.linalg.norm(sites, axis=1), kind="stable")[:n])
    return sites[inside] + np.random.default_rng(n).normal(0, 0.1, (n, 3))


def cpu_time(work: Callable[[], object], budget: float) -> float:
    """Return the median CPU time of a call, of as many as fit the budget, after one that warms up."""
    work()
    times: list[float] = []
    while sum(times) < budget:
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def stemdask_tasks(positions: np.ndarray) -> dict[str, Callable[[], object]]:
    from stemdask.analyses import chain
    from stemdask.config.document import Document
    from stemdask.kernels.atoms.bond_order import bond_order
    from stemdask.kernels.atoms.common_neighbours import classify
    from stemdask.kernels.atoms.neighbours import find_neighbours
    from stemdask.kernels.atoms.rdf import bin_edges, pair_counts
    from stemdask.kernels.atoms.template_match import REACH, match_templates
    from stemdask.kernels.atoms.workspace import Workspace
    from stemdask.model import AtomsFrame
    from stemdask.planning.steps import steps

    space, edges = Workspace(), bin_edges(R_MAX, WIDTH)
    every = bin_edges(2 * np.linalg.norm(positions, axis=1).max(), WIDTH)
    frame = AtomsFrame(0, positions, np.full(len(positions), 78, np.uint8))
    names = ("shape", "rdf", "coordination", "bond_order")
    chosen, _ = steps(Document({"analyses": {name: {} for name in names}}), "atoms")

    def whole_frame() -> object:
        frame.results.clear()
        frame.results.update(prepared)
        return chain.analyse("atoms", chosen, frame)

    tasks: dict[str, Callable[[], object]] = {
        "order": lambda: bond_order(find_neighbours(positions, CUTOFF, workspace=space), workspace=space),
        "CNA": lambda: classify(find_neighbours(positions, BEYOND_SECOND, workspace=space)),
        "PTM": lambda: match_templates(find_neighbours(positions, REACH * NEAREST, workspace=space)),
        "g(r) to 10 Å": lambda: pair_counts(positions, edges, workspace=space),
    }
    if len(positions) <= ALL_PAIRS:
        prepared = chain.prepare("atoms", chosen, [frame])
        tasks |= {"g(r), all pairs": lambda: pair_counts(positions, every, workspace=space), "frame": whole_frame}
    return tasks


def ovito_tasks(positions: np.ndarray) -> dict[str, Callable[[], object]]:
    from ovito.data import DataCollection, SimulationCell
    from ovito.modifiers import (
        CommonNeighborAnalysisModifier,
        CoordinationAnalysisModifier,
        PolyhedralTemplateMatchingModifier,
        SteinhardtParametersModifier,
    )

    edge = float(np.ptp(positions, axis=0).max()) + 40
    data = DataCollection()
    cell = SimulationCell(pbc=(False, False, False))
    cell[...] = np.column_stack([edge * np.eye(3), np.full(3, -edge / 2)])
    data.objects.append(cell)
    data.create_particles(count=len(positions)).create_property("Position", data=positions)
    order = SteinhardtParametersModifier(
        neighbor_mode=SteinhardtParametersModifier.NeighborMode.Cutoff, cutoff=CUTOFF, max_l=6, compute_averaged=True
    )
    pairs = CoordinationAnalysisModifier(cutoff=R_MAX, number_of_bins=round(R_MAX / WIDTH))
    common = CommonNeighborAnalysisModifier(mode=CommonNeighborAnalysisModifier.Mode.AdaptiveCutoff)
    templates = PolyhedralTemplateMatchingModifier(
        rmsd_cutoff=0.12, output_rmsd=True, output_orientation=True, output_interatomic_distance=True
    )
    for structure in templates.structures:
        structure.enabled = structure.id != PolyhedralTemplateMatchingModifier.Type.GRAPHENE
    modifiers = {"order": order, "CNA": common, "PTM": templates, "g(r) to 10 Å": pairs}
    return {task: partial(_applied, data, modifier) for task, modifier in modifiers.items()}


def _applied(data: Any, modifier: Any) -> object:
    return data.clone().apply(modifier)


def pyscal3_tasks(positions: np.ndarray) -> dict[str, Callable[[], object]]:
    import pyscal3
    from ase import Atoms
    from pyscal3 import csystem
    from pyscal3._bridge import neighbor_arrays

    pyscal3.set_num_threads(1)

    def order() -> object:
        atoms = Atoms("Pt" * len(positions), positions, cell=np.ptp(positions, axis=0) + 20, pbc=False)
        pyscal3.find_neighbors(atoms, method="cutoff", cutoff=CUTOFF, store_rows=False)
        first, bonds = neighbor_arrays(atoms, "neighbors", "theta", "phi", "neighborweight")
        found = []
        for degree in (4, 6):
            q, re, im = csystem.calculate_q_single(first, bonds["theta"], bonds["phi"], bonds["neighborweight"], degree)
            found += [q, csystem.calculate_aq_single(first, bonds["neighbors"], re, im, degree)]
            found += [*csystem.calculate_w_single(re, im, degree)]
            found += [*csystem.calculate_aw_single(first, bonds["neighbors"], re, im, degree)]
        return [*found, csystem.calculate_bonds(first, bonds["neighbors"], re, im, 6, 0.8, 0.8, 0.5, 0, 1)]

    return {"order": order}


def freud_tasks(positions: np.ndarray) -> dict[str, Callable[[], object]]:
    import freud

    freud.parallel.set_num_threads(1)
    box = freud.box.Box.cube(2 * float(np.ptp(positions, axis=0).max()) + 40)  # nothing meets its images

    def order() -> object:
        query = freud.locality.AABBQuery(box, positions)
        neighbours = query.query(positions, {"r_max": CUTOFF, "exclude_ii": True}).toNeighborList()
        found = [
            freud.order.Steinhardt([4, 6], average=average, wl=True).compute(query, neighbors=neighbours)
            for average in (False, True)
        ]
        return found, freud.order.SolidLiquid(6, 0.8, 6).compute(query, neighbors=neighbours)

    counted = freud.density.RDF(round(R_MAX / WIDTH), R_MAX)  # made once: its normalisation is most of the first call

    def rdf() -> object:
        return counted.compute((box, positions))

    return {"order": order} | ({"g(r) to 10 Å": rdf} if len(positions) < 50_000 else {})


def pyboo_tasks(positions: np.ndarray) -> dict[str, Callable[[], object]]:
    """pyboo, and with it what the published tutorial does with a frame by numpy and scipy."""
    from scipy.spatial import ConvexHull, cKDTree
    from scipy.spatial.distance import cdist, pdist

    from stemdask.adapters.pyboo import load

    boo = load()

    n = len(positions)

    def order() -> object:
        bonds = cKDTree(positions, 12).query_pairs(CUTOFF, output_type="ndarray")
        counts = np.bincount(bonds.ravel(), minlength=n)
        inside, found = np.ones(n, bool), []
        for degree in (6, 4):
            own = boo.bonds2qlm(positions, bonds, l=degree)
            averaged, _ = boo.coarsegrain_qlm(own, bonds, inside)
            found += [boo.ql(own), boo.ql(averaged), boo.wl(own), boo.wl(averaged)]
            if degree == 6:
                q = found[0]
                found += [boo.product(own[bonds[:, 0]], own[bonds[:, 1]]) / (q[bonds[:, 0]] * q[bonds[:, 1]])]
                found += [boo.crystallinity(own, bonds), boo.x_particles(own, bonds, 0.8, np.ceil(counts / 2 + 0.01))]
        return found

    def all_pairs() -> object:
        distances = pdist(positions)
        return np.histogram(distances, bins=np.arange(0, np.ceil(distances.max()), WIDTH))

    def whole_frame() -> object:
        ConvexHull(positions)
        all_pairs()
        order()
        distances = cdist(positions, positions)
        distances[distances > CUTOFF] = 0
        distances[distances == 0] = np.nan
        np.nanmean(distances, axis=0)
        limit = 1.2 * np.sqrt(2) / 2 * 3.912
        return [sum(d < limit for d in row) - 1 for row in cdist(positions, positions)]

    tasks: dict[str, Callable[[], object]] = {"order": order}
    return tasks | ({"g(r), all pairs": all_pairs, "frame": whole_frame} if n <= ALL_PAIRS else {})


def worker(name: str, n: int, budget: float) -> None:
    """Time the tasks of one program and print them as JSON."""
    positions = particle(n)
    tasks = globals()[f"{name}_tasks"](positions)
    found: dict[str, float] = {}
    if name == "stemdask":
        globals()["stemdask_tasks"](particle(50))["order"]()  # compiled before memory is looked at
        tracemalloc.start()
        tasks["order"]()
        found["bytes"] = tracemalloc.get_traced_memory()[1] / n
        tracemalloc.stop()
    found |= {task: cpu_time(work, budget) for task, work in tasks.items()}
    found["peak"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(found))


def interpreter(module: str, pythons: list[str]) -> str | None:
    """Return the first interpreter that has a module."""
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return next((p for p in pythons if subprocess.run([p, "-c", probe], check=False).returncode == 0), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", default=[], help="another interpreter to look for programs in")
    parser.add_argument("--sizes", nargs="+", type=int, default=[314, 2500, 20_000, 200_000])
    parser.add_argument("--budget", type=float, default=0.3, help="CPU seconds for each figure")
    parser.add_argument("--rounds", type=int, default=7, help="processes of each program and size; the median counts")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.sizes[0], options.budget)
        return
    pythons = [sys.executable, *options.python]
    found = {name: interpreter(module, pythons) for name, module in MODULES.items()}
    for name in [name for name, python in found.items() if python is None]:
        print(f"{name}: not installed, left out")
    programs = {name: python for name, python in found.items() if python is not None}
    for n in options.sizes:
        print(f"\n{n} atoms: CPU time per atom [ns], one thread, and how many times that of stemdask")
        rounds: dict[str, dict[str, list[float]]] = {name: {} for name in programs}
        for _ in range(options.rounds):
            for name, python in programs.items():
                command = [python, __file__, "--worker", name, "--sizes", str(n), "--budget", str(options.budget)]
                done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD, check=False)
                if done.returncode:
                    print(f"  {name} failed: {done.stderr.strip().splitlines()[-1]}")
                    continue
                for task, value in json.loads(done.stdout.splitlines()[-1]).items():
                    rounds[name].setdefault(task, []).append(value)
        median = {name: {task: float(np.median(v)) for task, v in found.items()} for name, found in rounds.items()}
        ours = median["stemdask"]
        for task in TASKS:
            for name in programs:
                if task in median[name]:
                    times = median[name][task] / ours[task]
                    print(f"  {task:16} {name:9} {1e9 * median[name][task] / n:12,.0f} {times:8.1f} ×")
        print(f"  memory of the order chain: {ours['bytes']:,.0f} bytes per atom; peak {ours['peak'] / 2**20:,.0f} MB")


if __name__ == "__main__":
    main()
