"""Trajectories whose changes are known, and the two published structures: what is said of them over time."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "toys"))
from metal import dynamics

import stemdask as sd
from stemdask import simulate
from stemdask.analyses.atoms.time import phases
from stemdask.figures.atoms.phases import parts
from stemdask.kernels.atoms.change_points import course, transitions
from stemdask.results.reader import open_results
from stemdask.results.views import Results

NAMES = [quantity.name for quantity in phases.QUANTITIES]
Frames = Sequence[np.ndarray]


def _analysed(folder: Path, path: Path, **analyses: object) -> Path:
    config = {
        "input": {"path": str(path)},
        "output": str(folder / "structures.zarr"),
        "analyses": {"phases": {}, **analyses},
        "cluster": {"kind": "inline"},
        "limits": {"isolate": False},
    }
    return sd.run(config)


def _run(frames: Frames) -> dict[str, list[tuple[int, int]]]:
    """Analyse particles of platinum; return from which frame to which each number changes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "particle.xyz"
        rows = ["".join(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in positions) for positions in frames]
        path.write_text("".join(f"{len(p)}\n\n{row}" for p, row in zip(frames, rows, strict=True)))
        found = open_results(_analysed(Path(folder), path))["phases"]
        changes: dict[str, list[tuple[int, int]]] = {}
        for k, start, stop in zip(
            found.quantity.values, found.start_frame.values, found.stop_frame.values, strict=True
        ):
            changes.setdefault(NAMES[k], []).append((int(start), int(stop)))
        return changes


def _melting(seed: int) -> Frames:
    sites = simulate.nanocrystal(18.0).positions
    return dynamics(sites, lambda frame, r: 2600.0 if frame >= 22 else 600.0, 45, 40, seed=seed)


def _growing(seed: int) -> Frames:
    sites = simulate.nanocrystal(20.0).positions
    sites = sites[np.argsort(np.linalg.norm(sites, axis=1), kind="stable")]
    random = np.random.default_rng(seed)
    counts = np.interp(np.arange(45), [15, 30], [110, 200]).astype(int)
    return [sites[:n] + random.normal(0, 0.08, (n, 3)) for n in counts]


def _solidifying(seed: int) -> Frames:
    """A melt around a few atoms that are held in place, cooled at frame 20: it orders over some 25 frames."""
    sites = simulate.nanocrystal(20.0).positions
    sites = sites[np.linalg.norm(sites, axis=1) < 10.6]
    molten = dynamics(sites, lambda frame, r: 2600.0, 6, 100, seed=seed, held=4.0)[-1]
    return dynamics(molten, lambda frame, r: 1000.0 if frame >= 20 else 2600.0, 60, 40, seed=seed, held=4.0)


_MOVING: dict[str, tuple[Callable[[int], Frames], tuple[str, ...], tuple[int, ...]]] = {
    "melts at frame 22 of 45": (
        _melting,
        ("core_order", "surface_order", "fraction_disordered", "fraction_fcc", "diameter"),
        (22,),
    ),
    "grows from frame 15 to 30 of 45": (_growing, ("n_atoms",), (15, 30)),
    "solidifies from frame 20 of 60": (_solidifying, ("core_order", "surface_order", "fraction_disordered"), (20,)),
}


def changes(seeds: int) -> str:
    """Find changes of trajectories by molecular dynamics, and none in quiet ones."""
    lines = ["| trajectory | numbers | found where they change | off by |", "|---|---|---|---|"]
    for text, (make, names, known) in _MOVING.items():
        off, told = [], 0
        for seed in range(1, 1 + max(1, seeds // 20)):
            found = _run(make(seed))
            for name in names:
                said = found.get(name, [])
                told += len(said) == 1
                off += [abs(place - true) for one in said[:1] for place, true in zip(one, known, strict=False)]
        asked = len(names) * max(1, seeds // 20)
        most = f"{np.mean(off):.1f} frames on average, at most {max(off)}" if off else "–"
        lines.append(f"| {text} | {', '.join(names)} | {told} of {asked} | {most} |")
    lines.append(f"| quiet crystals of 600 K, {seeds} of 40 frames | all | {_false(seeds)} changes | – |")
    return "\n".join(lines)


def _false(n: int) -> int:
    """Count changes in so many pieces of one quiet trajectory."""
    frames = dynamics(simulate.nanocrystal(14.0).positions, lambda frame, r: 600.0, 40 * n, 25, seed=5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "particle.xyz"
        rows = ["".join(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in positions) for positions in frames]
        path.write_text("".join(f"{len(p)}\n\n{row}" for p, row in zip(frames, rows, strict=True)))
        tree = open_results(_analysed(Path(folder), path))
        number = 0
        for quantity in phases.QUANTITIES:
            group, _, name = quantity.variable.path.partition("/")
            values = tree[group][name].values.astype(float)
            series = values if quantity.kind is None else values[:, quantity.kind]
            for k in range(n):
                piece = series[40 * k : 40 * (k + 1)]
                number += len(transitions(course(piece, quantity.least(piece))))
        return number


def stages(seeds: int) -> str:
    """Say what differs between two published structures, beside their arrays."""
    reference = os.environ.get("STEMDASK_REFERENCE")
    if not reference:
        return "STEMDASK_REFERENCE names no folder with the published structures."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(reference) / "data" / "stage*_docked_ATMS.pdb"
        tree = open_results(_analysed(Path(folder), path, tracks={}))
        (part,) = parts(Results(tree), 0)
        n, lost, born = (
            tree[g][name].values for g, name in (("frames", "n_atoms"), ("tracks", "n_lost"), ("tracks", "n_born"))
        )
        rows = [
            (
                "atoms",
                f"{n[0]}, {n[1]}",
                f"lost {lost[0]}, new {born[1]}: {n[0]} - {lost[0]} + {born[1]} = {n[0] - lost[0] + born[1]}",
            )
        ]
        for text, group, name in (
            ("largest diameter", "particle", "diameter"),
            ("crystallinity of the core", "phases", "core_order"),
            ("crystallinity of the surface", "phases", "surface_order"),
        ):
            values = tree[group][name].values
            error = tree[group][f"{name}_err"].values if f"{name}_err" in tree[group] else None
            said = [f"{v:.4g}" + (f" ± {error[k]:.1g}" if error is not None else "") for k, v in enumerate(values)]
            rows.append((text, ", ".join(said), f"changes by {values[1] - values[0]:+.3g}"))
        lines = ["| number | stage 1, stage 2 | |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
        return "\n".join([*lines, "", f"Said in the report: “{part.sentences[0]}”"])


TABLES = {"changes": changes, "stages": stages}
