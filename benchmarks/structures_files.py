"""Files of structures in wrong units, and files that are cut off: what is said of them."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.db import connect

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "toys"))
from crystals import CELLS, particle

from stemdask.errors import StemdaskError
from stemdask.sources.opening import open_source

#: Angstrom in what the coordinates are wrongly in.
UNITS = {"Å": 1.0, "nm": 10.0, "pm": 0.01, "bohr": 0.529177, "voxels of 0.3434 Å": 0.3434, "voxels of 0.75 Å": 0.75}
#: Formats of a file, and how ASE or MDAnalysis writes it.
BY_ASE = {
    "structure.xyz": "xyz",
    "structure.extxyz": "extxyz",
    "structure.pdb": "proteindatabank",
    "structure.cif": "cif",
    "structure.traj": "traj",
    "structure.dump": "lammps-dump",
    "POSCAR": "vasp",
    "XDATCAR": "vasp-xdatcar",
    "structure.gro": "gromacs",
    "structure.cfg": "cfg",
    "structure.json": "json",
    "structure.db": "db",
}
BY_MDANALYSIS = ("dcd", "xtc", "trr", "ncdf", "xyz", "pdb", "gro")
#: Formats that OVITO writes, how it calls them, and whether they hold many frames in one file.
BY_OVITO = {
    "structure.xyz": ("xyz", True),
    "structure.dump": ("lammps/dump", True),
    "POSCAR": ("vasp", False),
    "structure.gsd": ("gsd/hoomd", True),
}


def _structures() -> dict[str, Atoms]:
    found = {name: cell.repeat(2) for name, cell in CELLS.items()}
    found |= {name: bulk(name).repeat(2) for name in ("Ar", "Na", "W", "Mg", "Ti", "Pb", "Ge", "Ag", "Pd")}
    found |= {"diamond": bulk("C", "diamond", a=3.567).repeat(2), "MgO": bulk("MgO", "rocksalt", a=4.21).repeat(2)}
    for name in ("Pt", "CdSe", "CeO2", "FePt"):
        positions, numbers = particle(name, 10.0, 0.1)
        found[f"{name}, noisy particle"] = Atoms(numbers, positions)
    return found | {name: molecule(name) for name in ("H2O", "C6H6", "CH3CH2OH", "CO2")}


def scale(seeds: int) -> str:
    """Write each structure in each unit and count the files of which the unit is doubted."""
    every = _structures()
    lines = ["| unit of the file | files | said to be wrong |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "structure.extxyz"
        for unit, angstrom in UNITS.items():
            # Molecules have no bulk distance; without a unit that fits all, only right ones are asked of them.
            asked = {name: atoms for name, atoms in every.items() if unit == "Å" or len(atoms) > 10}
            doubted = 0
            for atoms in asked.values():
                scaled = atoms.copy()
                scaled.set_cell(atoms.cell / angstrom)
                scaled.positions = atoms.positions / angstrom
                ase.io.write(path, scaled)
                doubted += any("apart, where" in text for text in open_source(str(path)).warnings)
            lines.append(f"| {unit} | {len(asked)} | {doubted} |")
    return "\n".join(lines)


def _frames() -> list[Atoms]:
    """Seven frames, of which no tenth of a file ends with one."""
    random = np.random.default_rng(5)
    cell = bulk("PtAu", "rocksalt", a=5.4, cubic=True).repeat((2, 2, 2))
    frames = []
    for _ in range(7):
        atoms = cell.copy()
        atoms.positions += random.normal(0, 0.05, atoms.positions.shape)
        atoms.positions -= atoms.positions.min(axis=0) - 0.01
        frames.append(atoms[atoms.numbers.argsort(kind="stable")])
    return frames


def _written(folder: Path) -> Iterator[tuple[str, str, Path, int]]:
    """Write the frames in every format; yield the program, the format's name, the file and the number of frames."""
    for program, files in (("ASE", _by_ase), ("MDAnalysis", _by_mdanalysis), ("OVITO", _by_ovito)):
        beside = folder / program
        beside.mkdir()
        for name, path, n_frames in files(beside):
            yield "as LAMMPS does" if name == "structure.dump" and program == "ASE" else program, name, path, n_frames


def _by_ase(folder: Path) -> Iterator[tuple[str, Path, int]]:
    frames = _frames()
    for name, by in BY_ASE.items():
        path = folder / name
        if by in ("json", "db"):
            with connect(path, type=by) as database:
                for atoms in frames:
                    database.write(atoms)
            yield name, path, 7
        elif by == "lammps-dump":
            text = []
            for k, atoms in enumerate(frames):
                box = "".join(f"0 {length:.6f}\n" for length in atoms.cell.lengths())
                rows = "".join(
                    f"{i + 1} {s} {x:.6f} {y:.6f} {z:.6f}\n"
                    for i, (s, (x, y, z)) in enumerate(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
                )
                text.append(
                    f"ITEM: TIMESTEP\n{k}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\nITEM: BOX BOUNDS pp pp pp\n{box}"
                    f"ITEM: ATOMS id element x y z\n{rows}"
                )
            path.write_text("".join(text))
            yield name, path, 7
        else:
            many = by in ("xyz", "extxyz", "proteindatabank", "traj", "vasp-xdatcar")
            with warnings.catch_warnings(action="ignore"):
                ase.io.write(path, frames if many else frames[0], format=by)
            yield name, path, 7 if many else 1


def _by_ovito(folder: Path) -> Iterator[tuple[str, Path, int]]:
    try:
        from ovito.io import export_file, import_file
    except ImportError:
        return
    ase.io.write(folder / "all.extxyz", _frames(), format="extxyz")
    pipeline = import_file(str(folder / "all.extxyz"))
    columns = ["Particle Identifier", "Particle Type", "Position.X", "Position.Y", "Position.Z"]
    for name, (by, many) in BY_OVITO.items():
        beside = folder / by.replace("/", "-")
        beside.mkdir()
        path = beside / name
        options = {"columns": columns if by == "lammps/dump" else columns[1:]} if name != "POSCAR" else {}
        if by == "gsd/hoomd":
            options = {}
        export_file(pipeline, str(path), by, multiple_frames=many, **options)
        yield name, path, 7 if many else 1


def _by_mdanalysis(folder: Path) -> Iterator[tuple[str, Path, int]]:
    try:
        import MDAnalysis
    except ImportError:
        return
    frames = _frames()
    ase.io.write(folder / "elements.pdb", frames[0], format="proteindatabank")
    universe = MDAnalysis.Universe(str(folder / "elements.pdb"))
    universe.dimensions = [*frames[0].cell.lengths(), 90, 90, 90]
    for suffix in BY_MDANALYSIS:
        beside = folder / suffix
        beside.mkdir()
        if suffix in ("dcd", "xtc", "trr", "ncdf"):
            ase.io.write(beside / "structure.pdb", frames[0], format="proteindatabank")
        path = beside / f"structure.{suffix}"
        written = frames[:1] if suffix == "gro" else frames
        with warnings.catch_warnings(action="ignore"), MDAnalysis.Writer(str(path), len(frames[0])) as writer:
            for atoms in written:
                universe.atoms.positions = atoms.positions
                writer.write(universe.atoms)
        yield path.name, path, len(written)


def formats(seeds: int) -> str:
    """Read each format whole, and cut off at each tenth of its length."""
    lines = [
        "| written by | format | frames | largest difference | cut off at a tenth | error | fewer frames |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for program, name, path, n_frames in _written(Path(folder)):
            source = open_source(path)
            assert source.n_frames == n_frames, (name, source.n_frames)
            off = max(_difference(source.read(k).positions, atoms) for k, atoms in enumerate(_frames()[:n_frames]))
            data = path.read_bytes()
            outcomes = [_cut(path, data[: len(data) * tenth // 10]) for tenth in range(1, 10)]
            path.write_bytes(data)
            lines.append(
                f"| {program} | {name} | {n_frames} | {off:.0e} Å | {len(outcomes)} | {outcomes.count('error')} "
                f"| {outcomes.count('read')} |"
            )
    return "\n".join(lines)


def _difference(positions: np.ndarray, atoms: Atoms) -> float:
    """Return by how much positions differ, up to whole cells, and to the middle of the box as the origin."""
    away = positions - atoms.positions
    if np.abs(away[0]).max() > 0.1:  # HOOMD's boxes begin at minus half their edges
        away += 0.5 * atoms.cell[:].sum(axis=0)
    fraction = away @ np.linalg.inv(atoms.cell[:])
    return float(np.abs((fraction - np.round(fraction)) @ atoms.cell[:]).max())


def _cut(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    try:
        source = open_source(path)
        for k in range(source.n_frames):
            source.read(k)
    except StemdaskError:
        return "error"
    return "read"


TABLES = {"scale": scale, "formats": formats}
