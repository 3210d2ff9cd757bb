"""Speed, precision and truthfulness of fitting columns, beside atomap, picasso and SingleOrigin, on known columns.

    python benchmarks/columns.py [--only fits slopes] [--python OTHER/bin/python] [--singleorigin OTHER/bin/python]
        [--write docs/accuracy.md]

One thread, CPU time of the process, all in one run; the bound is Cramér and Rao's. `fits` are printed, for
docs/performance.md, which performance.py writes; `--write` is for `slopes`. `--python` names an interpreter that
has picasso (`pip install picassosr`), `--singleorigin` one that has SingleOrigin (`pip install "singleorigin<3"`: 3.0.1
fits no groups of columns); they run in processes of their own, on the same images.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402  # after the number of its threads
import pages  # noqa: E402
from scipy.spatial import cKDTree  # noqa: E402

ROUNDS = 3
PICASSO = """
import os, sys, time
os.environ["NUMBA_NUM_THREADS"] = "1"
import numpy as np
from picasso.fitting import gaussfit, seeds
with np.load(sys.argv[1]) as given:
    spots, least = given["spots"], []
for _ in range(4):
    start = time.process_time()
    guess = seeds.initial_parameters_gauss(spots, spots.shape[1])
    fit = gaussfit.fit_spots(gaussfit.ELLIPTIC, spots, guess, mle=True)[0]
    least.append(time.process_time() - start)
np.savez(sys.argv[2], seconds=min(least[1:]), theta=np.asarray(fit))
"""

SINGLEORIGIN = """
import sys, time
import matplotlib
matplotlib.use("Agg")
import numpy as np
from SingleOrigin.cell_transform import UnitCell
from SingleOrigin.find_atom_columns import HRImage
with np.load(sys.argv[1]) as given:
    image, vectors, origin = (given[name] for name in ("image", "vectors", "origin"))
cell = UnitCell(sys.argv[3])
cell.project_zone_axis([0, 0, 1], [1, 0, 0], [0, 1, 0], ignore_elements=["O"])
start = time.process_time()
lattice = HRImage(image / image.max()).add_lattice("perovskite", cell)
lattice.specify_basis_vectors(*vectors)
lattice.define_reference_lattice(origin=tuple(origin))
lattice.fit_atom_columns(parallelize=False)
seconds = time.process_time() - start
np.savez(sys.argv[2], seconds=seconds, places=lattice.at_cols[["y_fit", "x_fit"]].to_numpy(float))
"""
PEROVSKITE = """data_SrTiO3
_cell_length_a 3.905
_cell_length_b 3.905
_cell_length_c 3.905
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_space_group_symop_operation_xyz
'x, y, z'
loop_
_atom_site_type_symbol
_atom_site_label
_atom_site_symmetry_multiplicity
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Sr Sr1 1 0.0 0.0 0.0 1.0
Ti Ti1 1 0.5 0.5 0.5 1.0
O O1 1 0.5 0.5 0.0 1.0
O O2 1 0.5 0.0 0.5 1.0
O O3 1 0.0 0.5 0.5 1.0
"""


def timed(run: Callable[[], object]) -> tuple[object, float]:
    """Return the result and the least CPU time of some runs, after one that compiles."""
    result, least = run(), np.inf
    for _ in range(ROUNDS):
        start = time.process_time()
        result = run()
        least = min(least, time.process_time() - start)
    return result, least


def picasso(python: str, image: np.ndarray, start: np.ndarray, half: int) -> tuple[np.ndarray, float] | None:
    """Fit the windows around starts with picasso's maximum likelihood, in its own interpreter."""
    corner = np.rint(start).astype(int) - half
    windows = np.lib.stride_tricks.sliding_window_view(image, (2 * half + 1, 2 * half + 1))
    spots = np.ascontiguousarray(windows[corner[:, 0], corner[:, 1]], dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "given.npz"), Path(folder, "found.npz")
        np.savez(given, spots=spots)
        done = subprocess.run([python, "-c", PICASSO, given, found], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"picasso didn't run: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        with np.load(found) as result:
            theta, seconds = result["theta"], float(result["seconds"])
    return corner + theta[:, [2, 1]], seconds


def single_origin(python: str, image: np.ndarray, truth: object, inner: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Fit A and B columns with SingleOrigin in its own interpreter; return them in the order of the truth, or NaN."""
    a = truth.positions[truth.sublattice == 0]
    middle = a[np.argmin(np.hypot(*(a - 0.5 * np.array(image.shape)).T))]
    away = a - middle
    near = away[np.argsort(np.hypot(*away.T))[1:5]]
    right = near[np.argmax(near[:, 1])]
    down = near[np.argmax(near[:, 0])]
    with tempfile.TemporaryDirectory() as folder:
        given, found, cell = (Path(folder, name) for name in ("given.npz", "found.npz", "cell.cif"))
        cell.write_text(PEROVSKITE)
        np.savez(given, image=image.astype(float), vectors=[right[::-1], down[::-1]], origin=middle[::-1])
        command = [python, "-c", SINGLEORIGIN, given, found, cell]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"SingleOrigin didn't run: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        with np.load(found) as result:
            places, seconds = result["places"], float(result["seconds"])
    places = places[np.isfinite(places).all(axis=1)]
    distance, which = cKDTree(places).query(truth.positions)
    return np.where((inner & (distance < 3.0))[:, None], places[which], np.nan), seconds


def versions(chosen: argparse.Namespace) -> list[str]:
    """Return the programs beside which is fitted, with their versions, of those interpreters that have them."""
    found = [f"atomap {version('atomap')}"]
    for python, package in ((chosen.python, "picassosr"), (chosen.singleorigin, "singleorigin")):
        asks = f"from importlib.metadata import version; print(version({package!r}))"
        said = subprocess.run([python, "-c", asks], capture_output=True, text=True, check=False).stdout.strip()
        found += [f"{package} {said}"] if said else []
    return found


def row(name: str, n: int, seconds: float, ratios: list[float]) -> None:
    cells = " | ".join(f"{ratio:.3f}" for ratio in ratios)
    print(f"| {name} | {n / seconds:,.0f} | {cells} |", flush=True)


def isolated(python: str) -> None:
    """Columns that stand alone: 5,000 electrons, width 3 px, 30 px apart."""
    from stemdask.adapters import atomap
    from stemdask.kernels.images.fitting.centre_of_mass import centre_of_mass
    from stemdask.kernels.images.fitting.cramer_rao import isolated_bound
    from stemdask.kernels.images.fitting.single_fit import fit_single
    from stemdask.simulate import MotifColumn, lattice_image

    shifts = np.random.default_rng(0)
    image, truth = lattice_image(
        (2000, 2000),
        [[0.0, 30.0], [30.0, 0.0]],
        (MotifColumn((0.0, 0.0), 5000.0, 3.0, 0),),
        background=2.0,
        displacement=lambda p: shifts.uniform(-0.5, 0.5, p.shape),
        displaced=0,
    )
    true = truth.positions[np.all((truth.positions > 16) & (truth.positions < 1983), axis=1)]
    start = true + shifts.normal(0.0, 0.3, true.shape)
    bound = isolated_bound(5000.0, 3.0, 2.0, radius=10)

    def error(found: np.ndarray, of: slice = slice(None)) -> list[float]:
        return [float(np.sqrt(np.mean((found - true[of]) ** 2)) / bound)]

    print("\n| isolated | columns / CPU-s | error / bound |\n|---|---|---|")
    for shape in ("round", "elliptical"):
        fit, seconds = timed(lambda shape=shape: fit_single(image, start, 2.8, 10, noise="poisson", shape=shape))
        row(f"stemdask, {shape}, one by one", len(true), seconds, error(fit.positions))
    fit, seconds = timed(lambda: fit_single(image, start, 2.8, 10, noise="gaussian"))
    row("stemdask, least squares", len(true), seconds, error(fit.positions))
    found, seconds = timed(lambda: centre_of_mass(image, start, 9.0))
    row("stemdask, centre of mass", len(true), seconds, error(found))
    beside = picasso(python, image, start, 10)
    if beside is not None:
        row("picasso, maximum likelihood", len(true), beside[1], error(beside[0]))
    few = np.flatnonzero(np.all(true < 620, axis=1))
    begin = time.process_time()
    fit = atomap.measure(image[:640, :640], start[few], np.zeros(len(few), np.int8))
    row("atomap, 2D Gaussian", len(few), time.process_time() - begin, error(fit.positions, few))


def perovskite_lattice(python: str, origin_python: str) -> None:
    """A and B columns whose tails overlap, in an image of 2,000 px: 16 px, widths 2.8, 5,000 and 2,000 electrons."""
    from stemdask.adapters import atomap
    from stemdask.kernels.images.fitting.column_model import ColumnModel
    from stemdask.kernels.images.fitting.cramer_rao import joint_bound
    from stemdask.kernels.images.fitting.joint_fit import fit_joint
    from stemdask.kernels.images.fitting.single_fit import fit_single
    from stemdask.simulate import perovskite

    def draw(side: int, **more: object) -> tuple[np.ndarray, object]:
        shifts = np.random.default_rng(1)
        move = lambda p: shifts.uniform(-0.4, 0.4, p.shape)  # noqa: E731
        return perovskite((side, side), 16.0, rotation=7.0, sigma_a=2.8, sigma_b=2.8, displacement=move, **more)

    _, small = draw(256, noise=None)
    bounds = joint_bound(
        small.expected,
        small.positions,
        small.electrons,
        np.full(len(small.i), 2.8),
        small.sublattice,
        np.all((small.positions > -4) & (small.positions < 260), axis=1),
    )
    core = np.all((small.positions > 20) & (small.positions < 235), axis=1)
    bound = [float(np.sqrt(np.mean(bounds[core & (small.sublattice == s)] ** 2))) for s in (0, 1)]

    image, truth = draw(2000)
    again, _ = draw(2000, noise_seed=5)
    start = truth.positions + np.random.default_rng(2).normal(0.0, 0.35, truth.positions.shape)
    inner = np.all((truth.positions > 20) & (truth.positions < 1979), axis=1)

    def errors(found: np.ndarray, of: np.ndarray) -> list[float]:
        difference = found - truth.positions
        return [float(np.sqrt(np.mean(difference[of & (truth.sublattice == s)] ** 2)) / bound[s]) for s in (0, 1)]

    n = int(truth.inside.sum())
    print("\n| perovskite | columns / CPU-s | A: error / bound | B |\n|---|---|---|---|")
    for background in ("spline", "constant"):
        fit, seconds = timed(
            lambda b=background: fit_joint(image, start, truth.sublattice, 3.0, model=ColumnModel(background=b))
        )
        row(f"stemdask, together, {background} background", n, seconds, errors(fit.positions, inner))
        nearby = fit.positions + np.random.default_rng(3).normal(0.0, 0.1, fit.positions.shape)
        warm, seconds = timed(
            lambda b=background, s=nearby, f=fit: fit_joint(
                again, s, truth.sublattice, 3.0, model=ColumnModel(background=b), start=f
            )
        )
        row("– from the frame before", n, seconds, errors(warm.positions, inner))
    one, seconds = timed(lambda: fit_single(image, start[inner], 2.8, 6, noise="poisson"))
    found = start.copy()
    found[inner] = one.positions
    row("stemdask, one by one", int(inner.sum()), seconds, errors(found, inner & np.isfinite(found).all(axis=1)))
    beside = picasso(python, image, start[inner], 6)
    if beside is not None:
        found[inner] = beside[0]
        near = np.hypot(*(found - truth.positions).T) < 3.0
        row("picasso, maximum likelihood", int(inner.sum()), beside[1], errors(found, inner & near))
    few = np.all((truth.positions > -0.5) & (truth.positions < 255.5), axis=1)
    begin = time.process_time()
    fit = atomap.measure(image[:256, :256], start[few], truth.sublattice[few])
    seconds = time.process_time() - begin
    found[few] = fit.positions
    of = few & np.all((truth.positions > 20) & (truth.positions < 235), axis=1)
    row("atomap, 2D Gaussian, A then B", int(few.sum()), seconds, errors(found, of))
    beside = single_origin(origin_python, image[:256, :256], truth, of)
    if beside is not None:
        there = of & np.isfinite(beside[0]).all(axis=1)
        name = f"SingleOrigin, {there.sum()} of {of.sum()} columns"
        row(name, int(few.sum()), beside[1], errors(np.nan_to_num(beside[0]), there))


def slopes(origin_python: str) -> str:
    """Return the table of found against true displacement of B, at 100,000 electrons per A column."""
    from stemdask.adapters import atomap
    from stemdask.kernels.images.fitting.joint_fit import fit_joint
    from stemdask.simulate import perovskite

    table = ["| A-B distance / width | stemdask | atomap | SingleOrigin (B found) |", "|---|---|---|---|"]
    for ratio in (3.3, 3.8, 4.2, 4.7):
        shifts, spacing = np.random.default_rng(1), ratio * 2.6 * np.sqrt(2)
        image, truth = perovskite(
            (240, 240),
            spacing,
            rotation=5.0,
            sigma_a=2.6,
            sigma_b=2.6,
            electrons_a=1e5,
            electrons_b=4e4,
            displacement=lambda p, shifts=shifts: shifts.uniform(-0.8, 0.8, p.shape),
        )
        sites = truth.positions - truth.displacement[:, ::-1]
        of = np.all((truth.positions > 20) & (truth.positions < 219), axis=1) & (truth.sublattice == 1)
        fits = [fit_joint(image, sites, truth.sublattice, 2.8).positions, sites.copy()]
        fits[1][truth.inside] = atomap.measure(image, sites[truth.inside], truth.sublattice[truth.inside]).positions
        true = truth.displacement[of][:, ::-1].ravel()
        slope = [np.polyfit(true, (fit - sites)[of].ravel(), 1)[0] for fit in fits]
        beside, words = single_origin(origin_python, image, truth, of), "–"
        if beside is not None:
            shift = (beside[0] - sites)[of].ravel()
            known = np.isfinite(shift)
            words = f"{np.polyfit(true[known], shift[known], 1)[0]:.3f} ({known.mean():.0%})"
        table.append(f"| {ratio} | {slope[0]:.3f} | {slope[1]:.3f} | {words.replace('%)', ' %)')} |")
    return "\n".join(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=["fits", "slopes"], default=["fits", "slopes"])
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has picasso")
    parser.add_argument("--singleorigin", default=sys.executable, help="an interpreter that has SingleOrigin")
    pages.add_argument(parser)
    chosen = parser.parse_args()
    if "fits" in chosen.only:
        print(f"Beside {', '.join(versions(chosen))}.")
        isolated(chosen.python)
        perovskite_lattice(chosen.python, chosen.singleorigin)
    if "slopes" in chosen.only:
        pages.put("\n" * (chosen.write is None) + slopes(chosen.singleorigin), "slopes", chosen.write)


if __name__ == "__main__":
    main()
