"""Opening structures: the index of every frame, the checks, and what was found in words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload
from warnings import catch_warnings

import numpy as np

from stemdask.errors import FrameError, InputError
from stemdask.model import AtomsFrame
from stemdask.sources import guard, lammps, pdb, xyz
from stemdask.sources.atoms_source import AtomsSource, library
from stemdask.sources.elements import chemical_symbol
from stemdask.sources.packed import pack
from stemdask.sources.paths import find_files
from stemdask.sources.source_file import SourceFile
from stemdask.sources.text_index import FrameIndex

if TYPE_CHECKING:
    import xarray as xr

_INDEX: dict[str, Callable[[str, int], FrameIndex]] = {"pdb": pdb.index, "xyz": xyz.index, "lammps": lammps.index}
_NAMES = {
    "pdb": "a PDB file",
    "xyz": "an XYZ file",
    "lammps": "a LAMMPS dump",
    "cif": "a CIF",
    "traj": "a trajectory of ASE",
    "gsd": "a GSD file",
    "xtc": "an XTC file",
    "dcd": "a DCD file",
}
_BYTES_AN_ATOM = 200
"""Of text and of arrays, while a frame is read."""
_FAR = 1e6


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
        from stemdask.sources.xarray_view import atoms_dataset

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
    opened: list[SourceFile] = []
    found = FrameIndex()
    ends: list[int] = []
    for file in files:
        size = guard.check_file(file, fmt)
        with guard.reading(file), catch_warnings(action="ignore"):
            index = _INDEX[fmt](file, size) if fmt in _INDEX else library(fmt).index(file, size, fmt)
            if not any(index.n_atoms):
                raise InputError("holds no atoms", where=file, remedy=f"Check that it is {_NAMES[fmt]} and not cut off")
            guard.check_budget(file, _BYTES_AN_ATOM * max(index.n_atoms))
        opened.append(SourceFile(path=file, size=size, digest=guard.digest(file)))
        found.extend(index)
        ends.append(len(found.starts))
    chosen = (frames or slice(None)).indices(len(found.starts))
    if not range(*chosen):
        raise InputError(f"the range of frames chooses none of {len(found.starts)}", where=files[0])
    source = AtomsSource(
        format=fmt,
        files=tuple(opened),
        ends=pack(ends),
        starts=pack(found.starts),
        stops=pack(found.stops),
        counts=pack(found.n_atoms),
        elements=dict(elements or {}),
        selection=chosen,
    )
    facts, said = _try_frame(source)
    said += found.warnings
    if empty := found.n_atoms.count(0):
        said.append(f"{empty} of {len(found.n_atoms)} frames hold no atoms")
    for at, file in enumerate(files):
        if fmt in _INDEX and not guard.ends_whole(file, fmt):
            last = source.model_copy(update={"selection": (ends[at] - 1, ends[at], 1)})
            with contextlib.suppress(FrameError):
                last.read(0)  # raises InputError where a word is missing
            said.append(f"{file} doesn't end with the end of a line: its last number may be cut off")
    return source.model_copy(update={"facts": facts, "warnings": guard.in_short(said)})


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


def _try_frame(source: AtomsSource) -> tuple[dict[str, str], list[str]]:
    """Say what the first frame with atoms holds; what is wrong with its elements is an error of the whole input."""
    try:
        frame = source.read(int(np.argmax(source.n_atoms > 0)))
    except FrameError as error:
        return {}, [str(error)]
    kinds, counts = np.unique(frame.numbers, return_counts=True)
    widths = np.ptp(frame.positions, axis=0) if len(frame.positions) else np.zeros(3)
    facts = {
        "elements": ", ".join(f"{chemical_symbol(z)} {n}" for z, n in zip(kinds, counts, strict=True)),
        "extent": " × ".join(f"{width:.4g}" for width in widths) + " angstrom",
        "periodic": "".join(axis for axis, on in zip("xyz", frame.periodic, strict=True) if on) or "no",
    }
    if frame.time is not None:
        facts["first time"] = f"{frame.time:g}"
    return facts, _odd_positions(frame)


def _odd_positions(frame: AtomsFrame) -> list[str]:
    """Say what a person would want to look at before a long run."""
    said = []
    if len(frame.positions) > 1 and not np.ptp(frame.positions, axis=0).any():
        said.append(f"all {len(frame.positions)} atoms of frame {frame.index} lie at one point")
    elif len(np.unique(frame.positions, axis=0)) < len(frame.positions):
        said.append(f"frame {frame.index} holds atoms that coincide")
    if np.abs(frame.positions).max(initial=0.0) > _FAR:
        said.append(f"frame {frame.index} holds atoms more than {_FAR:g} angstrom from the origin")
    return said
