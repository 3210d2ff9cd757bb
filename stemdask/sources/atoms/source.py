"""Atomic structures as a source: plain data that a task carries, from which any frame is read by its place."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stemdask.errors import FrameError
from stemdask.model import AtomsFrame
from stemdask.sources import formats, guard
from stemdask.sources.atoms.box import check_thickness, whole_box
from stemdask.sources.atoms.elements import numbers_of
from stemdask.sources.atoms.frame_index import FramePlace
from stemdask.sources.file_source import FileSource
from stemdask.sources.packed import unpack


class AtomsSource(FileSource):
    """A trajectory of structures; plain data that a task carries to another machine."""

    kind: Literal["atoms"] = "atoms"
    starts: str
    """Where each frame begins in its file; packed integers, as are the next two."""
    stops: str
    counts: str
    """Atoms of each frame."""
    elements: dict[str, str] = Field(default_factory=dict)
    """What the words of the file mean: {"type 1": "Pt"}."""
    scale: float = 1.0
    """Angstrom in a unit of length of the files."""
    facts: dict[str, str] = Field(default_factory=dict)
    """What was found in the first frame, in words."""

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
            The frame holds a coordinate that is not finite, or a cell that is all but flat.
        """
        file, number, first = self.locate(index)
        file.check_unchanged()
        place = f"{file.path}, frame {number - first}" if number > first else file.path
        with guard.reading(place):
            structure = formats.ATOMS[self.format].read(self._place(file.path, file.size, number, first))
            numbers = numbers_of(structure.words, self.elements)[structure.kinds]
        finite = np.isfinite(structure.positions)
        if not finite.all():
            atom = int(np.argmin(finite.all(axis=1)))
            raise FrameError(
                f"atom {atom} of frame {number - first} has a coordinate that is not finite",
                where=file.path,
                value=structure.positions[atom].tolist(),
            )
        positions = self.scale * structure.positions
        cell, periodic = whole_box(
            None if structure.cell is None else self.scale * structure.cell, structure.periodic, positions
        )
        if cell is not None:
            check_thickness(cell, periodic, len(positions), place)
        return AtomsFrame(
            index=index,
            positions=positions,
            numbers=numbers,
            cell=cell,
            periodic=periodic,
            time=structure.time,
        )

    def describe(self) -> dict[str, Any]:
        """Return what a person wants to know about the input, in words and numbers."""
        n_atoms = self.n_atoms
        low, high = (int(n_atoms.min()), int(n_atoms.max())) if n_atoms.size else (0, 0)
        scaled = {} if self.scale == 1 else {"scale": f"{self.scale:g} angstrom"}
        return {
            "format": self.format,
            "files": len(self.files),
            "frames": self.n_frames,
            "atoms": f"{low}" if low == high else f"{low} to {high}",
            **scaled,
            **self.facts,
            "warnings": list(self.warnings),
        }

    def _place(self, path: str, size: int, number: int, first: int) -> FramePlace:
        starts, stops, counts = unpack(self.starts), unpack(self.stops), unpack(self.counts)
        return FramePlace(path, size, int(starts[first]), int(starts[number]), int(stops[number]), int(counts[number]))
