"""Opening structures: the index of every frame, the checks, and what was found in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from warnings import catch_warnings

import numpy as np

from stemdask.errors import FrameError, InputError
from stemdask.model import AtomsFrame, Kind
from stemdask.sources import formats, guard
from stemdask.sources.atoms.elements import chemical_symbol
from stemdask.sources.atoms.frame_index import FrameIndex
from stemdask.sources.atoms.scale import odd_scale
from stemdask.sources.atoms.source import AtomsSource
from stemdask.sources.content import check_file
from stemdask.sources.file_source import select
from stemdask.sources.first_look import FirstLook, look_at
from stemdask.sources.many import of_each
from stemdask.sources.packed import pack
from stemdask.sources.source_file import SourceFile
from stemdask.units import sides

_BYTES_AN_ATOM = 200
"""Of text and of arrays, while a frame is read."""
_FAR = 1e6


def open_atoms_files(
    files: Sequence[str],
    fmt: str,
    *,
    half: Kind | None = "atoms",
    frames: slice | None = None,
    elements: Mapping[str, str] | None = None,
    scale: float = 1.0,
) -> AtomsSource:
    """Open structure files of one format as one trajectory.

    Parameters
    ----------
    files
        Paths in the order of the frames.
    fmt
        Name of a format in `stemdask.sources.formats.ATOMS`, that of the first file.
    half
        What was asked for; None where the content of a file may be that of an image, which is an error then.
    frames
        Chosen frames.
    elements
        What the words of the files mean, such as ``{"type 1": "Pt"}`` or ``{"W": "Pt"}``.
    scale
        Angstrom in a unit of length of the files.

    Raises
    ------
    InputError
        A file can't be read, is cut off or holds no atoms.
    """
    record = formats.ATOMS[fmt]

    def indexed(file: FirstLook) -> FrameIndex:
        with guard.reading(file.path):
            index = record.index(file)
            if not any(index.n_atoms):
                raise InputError("holds no atoms", remedy=f"Check that it is {record.noun} and not cut off")
            guard.check_budget(file.path, _BYTES_AN_ATOM * max(index.n_atoms))
            if not record.ends_whole(file):
                raise InputError(
                    "doesn't end with the end of a line: its last number may be cut off",
                    remedy="Copy the file again; if it is whole, end its last line ('echo >> FILE')",
                )
        return index

    def looked_into(path: str) -> tuple[FirstLook, FrameIndex | None]:
        file = look_at(path)
        check_file(file, record, half)
        # Libraries that read binary files may not be used by several threads. What was read isn't kept of thousands.
        return replace(file, head=b"", tail=b""), indexed(file) if record.text else None

    opened: list[SourceFile] = []
    found = FrameIndex()
    ends: list[int] = []
    with catch_warnings(action="ignore"):
        for file, index in of_each(looked_into, files):
            opened.append(SourceFile.of(file))
            found.extend(index or indexed(file))
            ends.append(len(found.starts))
    source = AtomsSource(
        format=fmt,
        files=tuple(opened),
        ends=pack(ends),
        starts=pack(found.starts),
        stops=pack(found.stops),
        counts=pack(found.n_atoms),
        elements=dict(elements or {}),
        scale=scale,
        selection=select(frames, len(found.starts), files[0]),
    )
    facts, said = _try_frame(source)
    said += found.warnings
    held = sorted(set(found.n_atoms) - {0})
    if len(held) > 1:
        said.append(f"the number of atoms changes from frame to frame: {held[0]} to {held[-1]}")
    if empty := found.n_atoms.count(0):
        said.append(f"{empty} of {len(found.n_atoms)} frames hold no atoms")
    return source.model_copy(update={"facts": facts, "warnings": guard.in_short(said)})


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
        "extent": f"{sides(widths.tolist(), 4)} Å",
        "periodic": "".join(axis for axis, on in zip("xyz", frame.periodic, strict=True) if on) or "no",
    }
    if frame.time is not None:
        facts["first time"] = f"{frame.time:g}"
    return facts, _odd_positions(frame)


def _odd_positions(frame: AtomsFrame) -> list[str]:
    """Say what a person would want to look at before a long run."""
    said = []
    if odd := odd_scale(frame):
        said.append(odd)
    if len(frame.positions) > 1 and not np.ptp(frame.positions, axis=0).any():
        said.append(f"all {len(frame.positions)} atoms of frame {frame.index} lie at one point")
    elif len(np.unique(frame.positions, axis=0)) < len(frame.positions):
        said.append(f"frame {frame.index} holds atoms that coincide")
    if np.abs(frame.positions).max(initial=0.0) > _FAR:
        said.append(f"frame {frame.index} holds atoms more than {_FAR:g} angstrom from the origin")
    return said
