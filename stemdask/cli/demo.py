"""The demonstration: both halves on simulated frames, recovered against injected."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.spatial import ConvexHull, cKDTree

from stemdask import report, simulate
from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.errors import StorageError, StoreError
from stemdask.results import reader

Floats = NDArray[np.float64]

PIXEL = 0.0297
"""nm"""
SHIFT = 20.0
"""pm, of the Ti columns: to the right in the left half, downwards in the right half."""
EDGE = 7.0
"""px; three widths of a column: nearer to the edge it is cut."""
IMAGES, STRUCTURES = 12, 48
DISORDERED = 24
MARKER = "demo.txt"


@dataclass(frozen=True, slots=True)
class Row:
    """A quantity that was injected and recovered, and whether the two agree."""

    name: str
    injected: str
    recovered: str
    right: bool


def show(folder: Path) -> int:
    """Run the demonstration in a folder and print what was recovered; return 0 if all of it agrees, else 1.

    Raises
    ------
    StoreError
        The folder has other contents.
    StorageError
        The folder can't be created.
    """
    console = Console(highlight=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the folder can't be created: {error.strerror or error}", where=folder, remedy="Choose another with -o"
        ) from error
    if any(folder.iterdir()) and not (folder / MARKER).exists():
        raise StoreError("the folder has other contents", where=folder, remedy="Choose another with -o")
    (folder / MARKER).write_text("Written by 'stemdask demo'; this folder may be removed.\n")
    console.print("The first run on a machine compiles the kernels, which takes most of the time.")
    console.print(f"Images: {IMAGES} noisy, drifting frames of a ferroelectric perovskite with two domains")
    rows = _images(folder)
    console.print(f"Atoms: {STRUCTURES} frames of a vibrating platinum nanocrystal with disordered surface atoms")
    rows += _atoms(folder)
    table = Table("quantity", "injected", "recovered", "")
    for row in rows:
        table.add_row(row.name, row.injected, row.recovered, "[green]agrees[/]" if row.right else "[red]off[/]")
    console.print(table)
    for half in ("images", "atoms"):
        store = folder / f"{half}.zarr"
        console.print(f"{half:>6}: store {store}, report {report.write(store)}", soft_wrap=True)
    console.print("\nNext, with your own data:\n  stemdask run YOUR_FILE.dm4 -o results.zarr")
    console.print(f"and to continue in Python:\n  xarray.open_datatree('{folder / 'images.zarr'}', engine='zarr')")
    return 0 if all(row.right for row in rows) else 1


def _images(folder: Path) -> list[Row]:
    drift = np.cumsum(np.random.default_rng(7).normal(0.0, 1.0, (IMAGES, 2)), axis=0)
    frames, truth = simulate.stack(
        IMAGES,
        shape=(256, 256),
        spacing=13.5,
        sigma_a=2.4,
        sigma_b=2.2,
        electrons_a=9000.0,
        electrons_b=4500.0,
        background=20.0,
        displacement=_domains,
        drift=drift,
        seed=1,
    )
    np.save(folder / "images.npy", frames)
    tree = _analyse(folder, "images", {"path": str(folder / "images.npy"), "pixel_size": f"{PIXEL} nm"})
    b = truth.frame.sublattice == 1
    sites, shifts = truth.frame.positions[b], truth.frame.displacement[b] * PIXEL * 1000
    injected, found, sigma = [], [], []
    for k in range(IMAGES):
        cells = tree["displacement"].to_dataset().isel(frame=k).dropna("cell", subset=["u"])
        at = np.column_stack([cells["y"], cells["x"]]) / PIXEL - truth.shifts[k]
        injected.append(shifts[_nearest(at, sites)])
        found.append(np.column_stack([cells["u"], cells["v"]]))
        sigma.append(np.column_stack([cells["u_err"], cells["v_err"]]))
    put, got, expected = (np.concatenate(arrays) for arrays in (injected, found, sigma))
    rms, stated = (float(np.sqrt(np.mean(x**2))) for x in (got - put, expected))
    slope = float(np.polyfit(put.ravel(), got.ravel(), 1)[0])
    counts = [_counts(tree, k, truth.frame.positions + truth.shifts[k], frames.shape[1:]) for k in range(IMAGES)]
    n_true, n_found, n_wrong = (sum(column) for column in zip(*counts, strict=True))
    return [
        Row("columns entirely in the images", f"{n_true}", f"{n_found}", n_found > 0.99 * n_true),
        Row("false columns", "0", f"{n_wrong}", n_wrong <= 0.01 * n_true),
        Row("Ti shift: slope recovered/injected", "1.000", f"{slope:.3f}", abs(slope - 1.0) < 0.02),
        Row("Ti shift: RMS error", f"{stated:.2f} pm stated", f"{rms:.2f} pm", 0.85 < rms / stated < 1.15),
    ]


def _atoms(folder: Path) -> list[Row]:
    particle = simulate.nanocrystal(22.0, "Pt")
    trajectory = simulate.trajectory(particle, STRUCTURES, sigma=0.08, rotation=3.0, n_disordered=DISORDERED, seed=1)
    path = folder / "atoms.xyz"
    _write_atoms(path, trajectory)
    tree = _analyse(folder, "atoms", {"path": str(path)})
    n_atoms = len(particle.positions)
    frames = [frame.positions for frame in map(trajectory.read, range(STRUCTURES))]
    nearest = cKDTree(particle.positions).query(particle.positions, 2)[0][:, 1].min()
    put = float(np.mean([_mean_bond(frame, (1 + np.sqrt(2)) / 2 * nearest) for frame in frames]))
    found = tree["particle"].to_dataset()
    counted, disordered = int(tree["frames"]["n_atoms"].median()), float(found["n_disordered"].mean())
    bond = float(tree["atoms"]["mean_bond_length"].mean())
    ideal = float(np.mean([(6 * ConvexHull(frame).volume / np.pi) ** (1 / 3) for frame in frames]))
    diameter = float(found["diameter"].mean())
    return [
        Row("atoms per frame", f"{n_atoms}", f"{counted}", counted == n_atoms),
        Row("mean Pt-Pt distance", f"{put:.3f} Å", f"{bond:.3f} Å", abs(bond - put) < 0.005),
        Row("diameter", f"{ideal:.3f} Å", f"{diameter:.3f} Å", abs(diameter - ideal) < 0.005),
        Row("disordered atoms", f"{DISORDERED}", f"{disordered:.1f}", abs(disordered - DISORDERED) < 0.3 * DISORDERED),
    ]


def _mean_bond(positions: Floats, reach: float) -> float:
    """Return the mean over the atoms of their mean distance to the atoms within reach."""
    pairs = cKDTree(positions).query_pairs(reach, output_type="ndarray")
    lengths = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    total, n = (np.bincount(pairs.ravel(), np.repeat(w, 2), len(positions)) for w in (lengths, np.ones(len(pairs))))
    return float(np.mean(total[n > 0] / n[n > 0]))


def _domains(positions: Floats) -> Floats:
    """Return (u, v) in px: rightwards left of the middle, downwards right of it: a 90° wall."""
    left = positions[:, 1] < 128
    return np.where(left[:, None], (SHIFT, 0.0), (0.0, SHIFT)) / (PIXEL * 1000)


def _analyse(folder: Path, half: str, source: dict[str, str]) -> xr.DataTree:
    store = folder / f"{half}.zarr"
    cluster = {"kind": "inline"}  # two workers would compile the same kernels at the same time
    data: dict[str, Any] = {"input": source, "output": str(store), "cluster": cluster}
    engine.execute(Document(data, name=f"{half} demo"), fresh=store.exists(), progress=sys.stderr.isatty())
    return reader.open_results(store)


def _write_atoms(path: Path, trajectory: simulate.Trajectory) -> None:
    with path.open("w", encoding="ascii") as handle:
        for frame in map(trajectory.read, range(len(trajectory))):
            handle.write(f"{len(frame.positions)}\nProperties=species:S:1:pos:R:3 Time={frame.time}\n")
            handle.writelines(f"Pt {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in frame.positions)


def _nearest(points: Floats, sites: Floats) -> NDArray[np.intp]:
    return np.asarray(cKDTree(sites).query(points)[1])


def _counts(tree: xr.DataTree, index: int, sites: Floats, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return how many columns lie entirely in an image, how many of them were found, and how many false ones."""
    columns = tree["columns"].to_dataset().isel(frame=index).dropna("column", subset=["y"])
    found = np.column_stack([columns["y"], columns["x"]]) / PIXEL
    whole = sites[np.all((sites > EDGE) & (sites < np.asarray(shape) - 1 - EDGE), axis=1)]
    hit = cKDTree(found).query(whole)[0] < 1.0
    stray = cKDTree(sites).query(found)[0] > 2.0
    return len(whole), int(hit.sum()), int(stray.sum())
