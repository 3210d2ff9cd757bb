"""Atomic structures as a source: frames of any number of atoms, each read by its byte range."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from pydantic import BaseModel, ConfigDict

from stemdask.errors import FrameError, InputError
from stemdask.model import AtomsFrame
from stemdask.sources import ase_formats, guard, lammps, pdb, xyz
from stemdask.sources.elements import chemical_symbols, numbers_of
from stemdask.sources.packed import pack, unpack
from stemdask.sources.paths import find_files
from stemdask.sources.structure import Structure
from stemdask.sources.text_index import FrameIndex

if TYPE_CHECKING:
    import xarray as xr

_INDEX: dict[str, Callable[[str, int], FrameIndex]] = {"pdb": pdb.index, "xyz": xyz.index, "lammps": lammps.index}
_PARSE: dict[str, Callable[[bytes], Structure]] = {"pdb": pdb.parse, "xyz": xyz.parse, "lammps": lammps.parse}


class AtomsFile(BaseModel):
    """One file of a trajectory."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    digest: str
    n_frames: int


class AtomsSource(BaseModel):
    """A trajectory of structures; plain data that a task carries to another machine."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["atoms"] = "atoms"
    format: str
    files: tuple[AtomsFile, ...]
    starts: str
    """Where each frame begins in its file; packed integers, as are the next two."""
    stops: str
    counts: str
    """Atoms of each frame."""
    elements: dict[str, str] = {}
    """What the words of the file mean: {"type 1": "Pt"}."""
    selection: tuple[int, int, int]
    """Start, stop and step of the chosen frames among all."""
    facts: dict[str, str] = {}
    """What was found in the first frame, in words."""
    warnings: tuple[str, ...] = ()

    @property
    def n_frames(self) -> int:
        """Number of chosen frames."""
        return len(range(*self.selection))

    @property
    def n_atoms(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Number of atoms of every chosen frame, known without reading them."""
        return unpack(self.counts)[slice(*self.selection)]

    def read(self, index: int) -> AtomsFrame:
        """Read one frame.

        Raises
        ------
        InputError
            The file isn't what was planned.
        FrameError
            The frame holds a coordinate that is not finite.
        """
        file, number, first = self._locate(index)
        guard.check_unchanged(file.path, file.digest)
        with guard.reading(file.path):
            structure = self._parse(file, number, first)
            numbers = numbers_of(structure.symbols, self.elements)
        finite = np.isfinite(structure.positions).all(axis=1)
        if not finite.all():
            atom = int(np.argmin(finite))
            raise FrameError(
                f"atom {atom} of frame {number - first} has a coordinate that is not finite",
                where=file.path,
                value=structure.positions[atom].tolist(),
            )
        cell = structure.cell
        if cell is not None and not abs(np.linalg.det(cell)) > 0:
            cell = None
        return AtomsFrame(
            index=index,
            positions=structure.positions,
            numbers=numbers,
            cell=cell,
            periodic=structure.periodic if cell is not None else (False, False, False),
            time=structure.time,
        )

    def file_of(self, index: int) -> str:
        """Return the path of the file that holds the frame."""
        return self._locate(index)[0].path

    def identity(self) -> list[tuple[str, int, str]]:
        """Return (file, size in bytes, hash of head and tail) of every file."""
        return [(file.path, file.size, file.digest) for file in self.files]

    def describe(self) -> dict[str, Any]:
        """Return what a person wants to know about the input, in words and numbers."""
        n_atoms = self.n_atoms
        low, high = (int(n_atoms.min()), int(n_atoms.max())) if n_atoms.size else (0, 0)
        return {
            "format": self.format,
            "files": len(self.files),
            "frames": self.n_frames,
            "atoms": f"{low}" if low == high else f"{low} to {high}",
            **self.facts,
            "warnings": list(self.warnings),
        }

    def _locate(self, index: int) -> tuple[AtomsFile, int, int]:
        """Return the file of a frame, the frame's number among all and that of the first frame in the file."""
        number = range(*self.selection)[index]
        ends = _ends(self.files)
        which = int(np.searchsorted(ends, number, side="right"))
        return self.files[which], number, int(ends[which - 1]) if which else 0

    def _parse(self, file: AtomsFile, number: int, first: int) -> Structure:
        starts, stops = unpack(self.starts), unpack(self.stops)
        start, stop = int(starts[number]), int(stops[number])
        if self.format not in _PARSE:
            return ase_formats.read(file.path, self.format, start, file.size)
        with Path(file.path).open("rb", buffering=0) as stream:
            # What stands before the first frame, such as CRYST1 before MODEL, holds for all.
            shared = stream.read(int(starts[first]))
            stream.seek(start)
            text = stream.read(stop - start)
        return _PARSE[self.format](shared + text)


class AtomsFrames(Sequence[AtomsFrame]):
    """Frames of a trajectory, read when asked for."""

    def __init__(self, source: AtomsSource) -> None:
        self.source = source

    def __len__(self) -> int:
        return self.source.n_frames

    @overload
    def __getitem__(self, index: int) -> AtomsFrame: ...
    @overload
    def __getitem__(self, index: slice) -> AtomsFrames: ...
    def __getitem__(self, index: int | slice) -> AtomsFrame | AtomsFrames:
        if isinstance(index, slice):
            chosen = range(*self.source.selection)[index]
            selection = (chosen.start, chosen.stop, chosen.step)
            return AtomsFrames(self.source.model_copy(update={"selection": selection}))
        return self.source.read(range(len(self))[index])

    def __iter__(self) -> Iterator[AtomsFrame]:
        return (self.source.read(index) for index in range(len(self)))

    def __repr__(self) -> str:
        facts = ", ".join(f"{key}: {value}" for key, value in self.source.describe().items() if value)
        return f"<{len(self)} atomic structures; {facts}>"

    def to_xarray(self) -> xr.Dataset:
        """Return positions (frame, atom, xyz) in angstrom and elements (frame, atom), padded with NaN and 0."""
        from stemdask.sources.xarray_engine import atoms_dataset

        return atoms_dataset(self.source)


def open_atoms_files(
    files: Sequence[str], fmt: str, *, frames: slice | None = None, elements: Mapping[str, str] | None = None
) -> AtomsSource:
    """Open structure files of one format as one trajectory.

    Parameters
    ----------
    files
        Paths in the order of the frames.
    fmt
        Format name of `stemdask.sources.paths.FORMATS`.
    frames
        Chosen frames.
    elements
        What the words of the files mean, such as ``{"type 1": "Pt"}`` or ``{"W": "Pt"}``.

    Raises
    ------
    InputError
        A file can't be read, is cut off or holds no atoms.
    """
    opened, found = [], FrameIndex()
    said: list[str] = []
    for file in files:
        size = guard.check_file(file, fmt)
        with guard.reading(file):
            index = _INDEX[fmt](file, size) if fmt in _INDEX else ase_formats.index(file, size, fmt)
        if not any(index.n_atoms):
            raise InputError("holds no atoms", where=file, remedy=f"Check that it is a {fmt} file and not cut off")
        opened.append(AtomsFile(path=file, size=size, digest=guard.digest(file), n_frames=len(index.starts)))
        found.extend(index)
    if empty := sum(count == 0 for count in found.n_atoms):
        said.append(f"{empty} of {len(found.n_atoms)} frames hold no atoms")
    source = AtomsSource(
        format=fmt,
        files=tuple(opened),
        starts=pack(found.starts),
        stops=pack(found.stops),
        counts=pack(found.n_atoms),
        elements=dict(elements or {}),
        selection=(frames or slice(None)).indices(len(found.starts)),
    )
    guard.check_budget(files[0], max(found.n_atoms) * 200)
    facts, warnings = _first_frame(source) if source.n_frames else ({}, [])
    return source.model_copy(update={"facts": facts, "warnings": (*said, *warnings)})


def open_atoms(
    path: str | Path | Sequence[str | Path],
    *,
    frames: slice | None = None,
    elements: Mapping[str, str] | None = None,
) -> AtomsFrames:
    """Open atomic structures as a lazy sequence of frames.

    Parameters
    ----------
    path
        File, folder, glob or list of these.
    frames
        Chosen frames.
    elements
        What the words of the files mean, such as ``{"type 1": "Pt"}``.
    """
    _, fmt, files = find_files(path, "atoms")
    return AtomsFrames(open_atoms_files(files, fmt, frames=frames, elements=elements))


@lru_cache(maxsize=4)
def _ends(files: tuple[AtomsFile, ...]) -> Any:
    return np.cumsum([file.n_frames for file in files])


def _first_frame(source: AtomsSource) -> tuple[dict[str, str], list[str]]:
    """Say what the first frame holds; what is wrong with its atoms is an error of the whole input."""
    try:
        frame = source.read(0)
    except FrameError as error:
        return {}, [str(error)]
    symbols, counts = np.unique(frame.numbers, return_counts=True)
    facts = {
        "elements": ", ".join(f"{chemical_symbols(n)} {c}" for n, c in zip(symbols, counts, strict=True)),
        "extent": " × ".join(f"{width:.4g}" for width in np.ptp(frame.positions, axis=0)) + " angstrom"
        if len(frame.positions)
        else "none",
        "periodic": "".join(axis for axis, on in zip("xyz", frame.periodic, strict=True) if on) or "no",
    }
    if frame.time is not None:
        facts["time of the first frame"] = f"{frame.time:g}"
    return facts, []
