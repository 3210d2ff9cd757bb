"""Atomic structures as a source: plain data that a task carries, from which any frame is read by its byte range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from stemdask.errors import FrameError
from stemdask.model import AtomsFrame
from stemdask.sources import ase_formats, binary_formats, guard, lammps, pdb, xyz
from stemdask.sources.elements import numbers_of
from stemdask.sources.packed import unpack
from stemdask.sources.source_file import SourceFile
from stemdask.sources.structure import Structure

_PARSE: dict[str, Callable[[bytes, int], Structure]] = {"pdb": pdb.parse, "xyz": xyz.parse, "lammps": lammps.parse}


def library(fmt: str) -> ModuleType:
    """Return the module that reads a format by number of frame, not by byte range."""
    return ase_formats if fmt in ("cif", "traj") else binary_formats


class AtomsSource(BaseModel):
    """A trajectory of structures; plain data that a task carries to another machine."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["atoms"] = "atoms"
    format: str
    files: tuple[SourceFile, ...]
    ends: str
    """Number of frames up to the end of each file; packed integers, as are the next three."""
    starts: str
    """Where each frame begins in its file."""
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
    def n_atoms(self) -> NDArray[np.int64]:
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
        place = f"{file.path}, frame {number - first}" if number > first else file.path
        with guard.reading(place):
            structure = self._parse(file, number, first)
            numbers = numbers_of(structure.words, self.elements)[structure.kinds]
        finite = np.isfinite(structure.positions)
        if not finite.all():
            atom = int(np.argmin(finite.all(axis=1)))
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

    def _locate(self, index: int) -> tuple[SourceFile, int, int]:
        """Return the file of a frame, the frame's number among all and that of the first frame in the file."""
        number = range(*self.selection)[index]
        ends = unpack(self.ends)
        which = int(np.searchsorted(ends, number, side="right"))
        return self.files[which], number, int(ends[which - 1]) if which else 0

    def _parse(self, file: SourceFile, number: int, first: int) -> Structure:
        starts, stops = unpack(self.starts), unpack(self.stops)
        start, stop = int(starts[number]), int(stops[number])
        if self.format not in _PARSE:
            read: Structure = library(self.format).read(file.path, self.format, start, file.size)
            return read
        with Path(file.path).open("rb", buffering=0) as stream:
            # What stands before the first frame, such as CRYST1 before MODEL, holds for all.
            shared = stream.read(int(starts[first]))
            stream.seek(start)
            text = stream.read(stop - start)
        return _PARSE[self.format](shared + text, int(unpack(self.counts)[number]))
