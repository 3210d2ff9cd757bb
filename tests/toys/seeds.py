"""Small good files of the formats that are mutated."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import ase.io
import foreign
import numpy as np
import pytest
import tifffile
import zarr
from ase import Atoms
from PIL import Image

from stemdask import simulate

_TIFFS = ("tif", "deflated.tif", "tiled.tif")
IMAGES = ("npy", *_TIFFS, "hspy", "emd", "dm4", "dm3", "ser", "zarr", "png", "jpg", "bmp", "mrc")
#: Formats that ASE writes, by suffix, and whether one file holds several structures.
_BY_ASE = {
    "cif": ("cif", False),
    "traj": ("traj", True),
    "vasp": ("vasp", False),
    "xdatcar": ("vasp-xdatcar", True),
    "gro": ("gromacs", False),
    "cfg": ("cfg", False),
    "json": ("json", True),
    "db": ("db", True),
}
ATOMS = ("xyz", "xyz.gz", "lammpstrj", "pdb", "csv", "gsd", "xtc", "trr", "dcd", "ncdf", "positions.npy", *_BY_ASE)
_MRC_FLOATS = 2


def write(path: Path, name: str) -> Path:
    """Write the file of a name, whose suffix says its format; a folder for zarr, two files for some trajectories."""
    target = path / f"seed.{name}"
    (_write_images if name in IMAGES else _write_atoms)(target, name)
    return target


def _write_images(target: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 1000, (5, 24, 24)).astype(np.uint16)
    if name == "npy":
        np.save(target, pixels)
    elif name == "png":
        Image.fromarray(pixels[0]).save(target)
    elif name in ("jpg", "bmp"):
        Image.fromarray((pixels[0] // 4).astype(np.uint8)).save(target)
    elif name in ("dm3", "dm4"):
        foreign.write_dm4(target, pixels, version=int(name[-1]))
    elif name == "ser":
        foreign.write_ser(target, pixels)
    elif name == "emd":
        foreign.write_velox(target, {"HAADF": pixels})
    elif name == "zarr":
        zarr.create_array(str(target), data=pixels, chunks=(1, 24, 24), dimension_names=("t", "y", "x"))
    elif name == "hspy":
        _write_hspy(target, pixels)
    elif name == "mrc":
        header = np.zeros(256, "<i4")
        header[:4] = 24, 24, 5, _MRC_FLOATS
        header[16:19] = 1, 2, 3
        header[52:54] = np.frombuffer(b"MAP \x44\x44\0\0", "<i4")
        target.write_bytes(header.tobytes() + pixels.astype("<f4").tobytes())
    elif name == "tif":
        tifffile.imwrite(target, pixels, imagej=True)
    else:
        tifffile.imwrite(target, pixels, compression="zlib", tile=(16, 16) if name == "tiled.tif" else None)


def _write_hspy(target: Path, pixels: np.ndarray) -> None:
    from rsciio.hspy import file_writer

    axes = [
        {"name": name, "size": size, "scale": 0.02, "offset": 0, "units": unit, "navigate": k == 0, "index_in_array": k}
        for k, (name, size, unit) in enumerate((("t", 5, ""), ("y", 24, "nm"), ("x", 24, "nm")))
    ]
    empty: dict[str, dict[str, object]] = {
        key: {} for key in ("original_metadata", "tmp_parameters", "learning_results", "models")
    }
    metadata = {"General": {"title": "x"}, "Signal": {"signal_type": ""}}
    rest = {"attributes": {"_lazy": False}, "package_info": {"package": "x", "package_version": "1"}}
    file_writer(str(target), {"data": pixels, "axes": axes, "metadata": metadata, **rest, **empty})


def _write_atoms(target: Path, name: str) -> None:
    trajectory = simulate.trajectory(simulate.nanocrystal(9.0), 3, sigma=0.05)
    frames = [trajectory.read(index).positions for index in range(3)]
    if name == "xyz":
        target.write_text("".join(_frame(k, p) for k, p in enumerate(frames)))
    elif name == "xyz.gz":
        target.write_bytes(gzip.compress("".join(_frame(k, p) for k, p in enumerate(frames)).encode()))
    elif name == "csv":
        rows = (f"{k},Pt,{x:.5f},{y:.5f},{z:.5f}\n" for k, p in enumerate(frames) for x, y, z in p)
        target.write_text("frame,element,x,y,z\n" + "".join(rows))
    elif name == "lammpstrj":
        target.write_text("".join(_snapshot(k, p) for k, p in enumerate(frames)))
    elif name == "pdb":
        target.write_text("".join(_model(k, p) for k, p in enumerate(frames)) + "END\n")
    elif name == "positions.npy":
        np.save(target, frames[0])
    elif name in ("gsd", "xtc", "trr", "dcd", "ncdf"):
        _write_trajectory(target, name, np.array(frames, np.float32))
    else:
        structures = [Atoms(f"Pt{len(p)}", p + 9, cell=[18, 18, 18], pbc=True) for p in frames]
        fmt, several = _BY_ASE[name]
        with warnings.catch_warnings(action="ignore"):  # GRO has no velocities
            ase.io.write(target, structures if several else structures[0], format=fmt)


def _write_trajectory(target: Path, name: str, frames: np.ndarray) -> None:
    n = len(frames[0])
    if name == "gsd":
        hoomd = pytest.importorskip("gsd.hoomd")
        with hoomd.open(str(target), "w") as file:
            for k, positions in enumerate(frames):
                frame = hoomd.Frame()
                frame.configuration.step = k
                frame.configuration.box = [40, 40, 40, 0, 0, 0]
                frame.particles.N, frame.particles.position = n, positions
                frame.particles.types, frame.particles.typeid = ["Pt"], np.zeros(n, np.uint32)
                file.append(frame)
        return
    target.with_suffix(".xyz").write_text(_frame(0, frames[0]))
    if name == "ncdf":
        foreign.write_ncdf(target, frames)
        return
    if name in ("xtc", "trr"):
        library = pytest.importorskip("MDAnalysis.lib.formats.libmdaxdr", exc_type=ImportError)
        with (library.XTCFile if name == "xtc" else library.TRRFile)(str(target), "w") as file:
            for k, positions in enumerate(frames):
                box = np.diag([4, 4, 4]).astype("f4")
                if name == "xtc":
                    file.write(positions / 10, box, k, float(k), 1e5)
                else:
                    file.write(positions / 10, None, None, box, k, float(k), 0.0, n)
        return
    library = pytest.importorskip("MDAnalysis.lib.formats.libdcd", exc_type=ImportError)
    with library.DCDFile(str(target), "w") as file:
        file.write_header("made for a test", n, istart=0, nsavc=1, delta=0.5, is_periodic=1)
        for positions in frames:
            file.write(positions, np.array([40.0, 90.0, 40.0, 90.0, 90.0, 40.0]))


def _frame(step: int, positions: np.ndarray) -> str:
    rows = "".join(f"Pt {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in positions)
    return f"{len(positions)}\ntime={step}\n{rows}"


def _snapshot(step: int, positions: np.ndarray) -> str:
    head = f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(positions)}\n"
    head += "ITEM: BOX BOUNDS ff ff ff\n" + "-9 9\n" * 3
    rows = "".join(f"{k} Pt {x:.5f} {y:.5f} {z:.5f}\n" for k, (x, y, z) in enumerate(positions, 1))
    return f"{head}ITEM: ATOMS id element x y z\n{rows}"


def _model(number: int, positions: np.ndarray) -> str:
    rows = "".join(
        f"HETATM{k:5d} PT   PT  A   1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          PT\n"
        for k, (x, y, z) in enumerate(positions, 1)
    )
    return f"MODEL     {number + 1:4d}\n{rows}ENDMDL\n"
