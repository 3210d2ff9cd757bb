"""Are the words said of structures of atoms right? Tables of docs/accuracy-atoms.md, by one command.

    python benchmarks/structures.py [--python OTHER/bin/python] [--seeds 100] [--only kinds melts ...]
                                    [--write docs/accuracy-atoms.md]

Perfect and molten particles, crystals whose coordination is known, files in wrong units, published structures,
each quantity beside a value by geometry and another program, and files that are cut off. OVITO, freud and
pyscal3 must be installed. `--write` puts each table between the marks `<!-- name -->` and `<!-- /name -->` of a page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pages
import structures_files
import structures_peers
import structures_time
from structures_peers import ovito_kinds
from structures_run import analysed

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "toys"))
from crystals import inner, particle
from metal import dynamics

from stemdask.analyses.atoms.order.structure import KINDS
from stemdask.simulate import nanocrystal

NUMBER = {name: kind for kind, name in KINDS.items()}
NOISE = (0.05, 0.1)
#: Of each crystal what it is called, the kinds of its inner atoms, and the neighbours of each element.
CRYSTALS: dict[str, tuple[str, tuple[str, ...], dict[int, int]]] = {
    "Pt": ("fcc Pt", ("fcc",), {78: 12}),
    "Co": ("hcp Co", ("hcp",), {27: 12}),
    "Fe": ("bcc Fe", ("bcc",), {26: 8}),
    "Si": ("diamond Si", ("cubic_diamond",), {14: 4}),
    "CdSe": ("zincblende CdSe", ("cubic_diamond",), {34: 4, 48: 4}),
    "wurtzite": ("wurtzite CdSe", ("hexagonal_diamond",), {34: 4, 48: 4}),
    "CeO2": ("fluorite CeO₂", ("fcc", "simple_cubic"), {8: 4, 58: 8}),
    "NaCl": ("rock salt NaCl", ("simple_cubic",), {11: 6, 17: 6}),
    "FePt": ("L1₀ FePt", ("fcc",), {26: 12, 78: 12}),
}
#: Types that a complete shell has; those that OVITO doesn't know are left out.
SHELLS = ("fcc", "hcp", "bcc", "ico", "simple_cubic", "cubic_diamond", "hexagonal_diamond")


def percent(part: float) -> str:
    """Write a fraction so that 100 % means all."""
    return "100 %" if part == 1 else f"{min(100 * part, 99.99):.2f} %" if part else "0"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def kinds(seeds: int) -> str:
    """Tell structure types of noisy perfect particles, and what OVITO says of the same atoms."""
    rows = []
    for name, (text, right_kinds, _) in CRYSTALS.items():
        for sigma in NOISE:
            right, disordered, worst = [], [], 1.0
            both = {"ptm": np.zeros(4, int), "cna": np.zeros(4, int)}
            for seed in range(seeds):
                positions, numbers = particle(name, 14.0, sigma, seed)
                kind = analysed(positions, numbers, structure={})["atoms/structure"]
                inside = inner(positions)
                right.append(np.isin(kind[inside], [NUMBER[one] for one in right_kinds]).mean())
                disordered.append((kind == NUMBER["disordered"]).mean())
                ours = np.where(np.isin(kind, [NUMBER[one] for one in SHELLS]), kind, 0)
                for method, count in both.items():
                    count += agreement(ours, ovito_kinds(positions, method))
            worst = min(right)
            shared = [[f"{100 * part:.1f}" for part in count / count.sum()] for count in both.values()]
            rows.append(
                [
                    text,
                    f"{sigma} Å",
                    percent(float(np.mean(right))),
                    percent(worst),
                    percent(float(np.mean(disordered))),
                ]
                + [f"{same} / {ours} / {theirs} / {other}" for same, ours, theirs, other in shared]
            )
    head = ["crystal", "noise", "right inside", "worst particle", "disordered", "PTM", "CNA"]
    return table(head, rows)


def agreement(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Count the atoms of which both say the same, one alone says a type, the other alone does, both say another."""
    told, known = ours > 0, theirs > 0
    counts = (ours == theirs, told & ~known, ~told & known, told & known & (ours != theirs))
    return np.array([int(count.sum()) for count in counts])


def melts(seeds: int) -> str:
    """Melt particles by molecular dynamics and tell how many atoms are called disordered."""
    rows = []
    for name, molten in (("EMT", _emt), ("second-moment potential", _second_moment), ("Lennard-Jones", _lennard_jones)):
        for element, frames in molten(max(3, seeds // 20)):
            ours, ptm, cna = [], [], []
            for positions, numbers in frames:
                kind = analysed(positions, numbers, structure={})["atoms/structure"]
                ours.append((kind == NUMBER["disordered"]).mean())
                ptm.append((ovito_kinds(positions, "ptm") == 0).mean())
                cna.append((ovito_kinds(positions, "cna") == 0).mean())
            text = f"{element} ({name}), {len(frames[0][0])} atoms"
            rows.append([text, str(len(frames)), *(percent(float(f(v))) for v, f in ((ours, np.mean), (ours, np.min)))])
            rows[-1] += [percent(float(np.mean(v))) for v in (ptm, cna)]
    return table(["melt", "frames", "disordered", "worst", "no type by PTM", "by CNA"], rows)


Frames = list[tuple[np.ndarray, np.ndarray]]


def _langevin(atoms, kelvin: float, femtoseconds: float, steps_first: int, n_frames: int) -> Frames:  # type: ignore[no-untyped-def]
    from ase import units
    from ase.md.langevin import Langevin

    random = np.random.default_rng(0)
    motion = Langevin(
        atoms, femtoseconds * units.fs, temperature_K=kelvin, friction=0.03 / units.fs, fixcm=False, rng=random
    )
    motion.run(steps_first)
    frames = []
    for _ in range(n_frames):
        motion.run(50)
        frames.append((atoms.positions.copy(), atoms.numbers.copy()))
    return frames


def _emt(n_frames: int) -> list[tuple[str, Frames]]:
    from ase import Atoms
    from ase.calculators.emt import EMT

    found = []
    for element, kelvin in (("Au", 1600.0), ("Pt", 2400.0), ("Cu", 1700.0)):
        positions = nanocrystal(18, element).positions
        atoms = Atoms(f"{element}{len(positions)}", positions, calculator=EMT())
        found.append((element, _langevin(atoms, kelvin, 5.0, 400, n_frames)))
    return found


def _second_moment(n_frames: int) -> list[tuple[str, Frames]]:
    sites = nanocrystal(20).positions
    frames = dynamics(sites, lambda frame, r: 2600.0, n_frames + 10, 40, seed=3)[10:]
    return [("Pt", [(positions, np.full(len(sites), 78)) for positions in frames])]


def _lennard_jones(n_frames: int) -> list[tuple[str, Frames]]:
    from ase import Atoms
    from ase.calculators.lj import LennardJones

    positions = nanocrystal(18, "Ag").positions * (3.76 / 2.889)
    atoms = Atoms(f"Ar{len(positions)}", positions, calculator=LennardJones(sigma=3.4, epsilon=0.0104, rc=8.5))
    return [("Ar", _langevin(atoms, 110.0, 10.0, 1200, min(n_frames, 3)))]


def coordination(seeds: int) -> str:
    """Count neighbours by the first minima of g(r), deep inside perfect particles."""
    rows = []
    asked = [(name, numbers, {}) for name, (_, _, numbers) in CRYSTALS.items()]
    asked += [("Fe", {26: 14}, {"cutoff": "3.46 angstrom"}), ("Fe", {26: 8}, {"rule": "lattice"})]
    asked += [("NiAl", {13: 8, 28: 8}, {}), ("Fe", {26: 8}, {"rule": "first_minimum"})]
    for name, expected, params in asked:
        exact = []
        for sigma in (0.0, *NOISE):
            found = []
            for seed in range(max(1, seeds // 10)):
                positions, numbers = particle(name, 16.0, sigma, seed)
                number = analysed(positions, numbers, coordination=params)["atoms/coordination"]
                inside = inner(positions, 6.5)
                wanted = np.vectorize(expected.get)(numbers)
                found.append((number == wanted)[inside].mean())
            exact.append(percent(float(np.mean(found))))
        atoms = ", ".join(f"{n}" for n in expected.values())
        text = CRYSTALS[name][0] if name in CRYSTALS else f"B2 {name}"
        rows.append([text, atoms + "".join(f" ({key}: {value})" for key, value in params.items()), *exact])
    return table(["crystal", "neighbours", "0 Å", *(f"{sigma} Å" for sigma in NOISE)], rows)


TABLES: dict[str, Callable[[int], str]] = {
    "kinds": kinds,
    "melts": melts,
    "coordination": coordination,
    **structures_files.TABLES,
    **structures_time.TABLES,
    **structures_peers.TABLES,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100, help="particles of each kind")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="tables to make")
    pages.add_argument(parser)
    options = parser.parse_args()
    for name in options.only:
        pages.put(TABLES[name](options.seeds), name, options.write)


if __name__ == "__main__":
    main()
