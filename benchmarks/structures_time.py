"""The two published structures: what is said to change from the one to the other."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import stemdask as sd
from stemdask.figures.atoms.phases import parts
from stemdask.results.reader import open_results
from stemdask.results.views import Results


def _analysed(folder: Path, path: Path, **analyses: object) -> Path:
    config = {
        "input": {"path": str(path)},
        "output": str(folder / "structures.zarr"),
        "analyses": {"phases": {}, **analyses},
        "cluster": {"kind": "inline"},
        "limits": {"isolate": False},
    }
    return sd.run(config)


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


TABLES = {"stages": stages}
