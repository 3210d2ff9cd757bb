"""Rows on the speed of fits beside those of another checkout."""

from __future__ import annotations

import statistics
import subprocess
import sys

import numpy as np
from rows import Asked, Row
from whole_run import HERE, environment

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
