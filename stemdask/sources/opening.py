"""The one way in: whatever a user names becomes a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stemdask.errors import InputError
from stemdask.model import Kind
from stemdask.sources.atoms.opening import open_atoms_files
from stemdask.sources.atoms.source import AtomsSource
from stemdask.sources.formats import kind_of
from stemdask.sources.frame_range import parse_range
from stemdask.sources.images.opening import open_image_files
from stemdask.sources.images.source import ImageSource
from stemdask.sources.paths import find_files
from stemdask.units import Length, parse_length


def open_source(
    path: str | Path | Sequence[str | Path],
    kind: Kind | None = None,
    *,
    pixel_size: float | str | Length | None = None,
    frames: slice | str | None = None,
    elements: Mapping[str, str] | None = None,
    scale: float | str | Length | None = None,
) -> ImageSource | AtomsSource:
    """Open images or structures as a source of frames.

    Parameters
    ----------
    path
        File, folder, glob or list of these; frames in natural order of the file names.
    kind
        "images" or "atoms"; by the suffix when None.
    pixel_size
        nm, or text with a unit; overrides the files. For images.
    frames
        Chosen frames; "first:last+1" as text.
    elements
        Element of each word that stands for one in the files. For structures.
    scale
        Angstrom in a unit of length of the files, or text with a unit. For structures.

    Raises
    ------
    InputError
        Nothing is found, or something can't be read as frames of one kind.
    """
    found, fmt, files = find_files(path, kind)
    chosen = _slice(frames)
    if found == "images":
        size = None if pixel_size is None else parse_length(pixel_size, "nm").nm()
        return open_image_files(files, fmt, half=kind, pixel_size=size, frames=chosen)
    unit = 1.0 if scale is None else parse_length(scale, "angstrom").angstrom()
    return open_atoms_files(files, fmt, half=kind, frames=chosen, elements=elements, scale=unit)


def source_from(data: Mapping[str, Any]) -> ImageSource | AtomsSource:
    """Make a source of what its `model_dump` wrote; raise ValueError where it isn't one."""
    kind = ImageSource if data.get("kind") == "images" else AtomsSource
    return kind.model_validate(data)


def guess_kind(path: object) -> Kind | None:
    """Guess the kind of an input from its suffix alone, without looking at the disk; None where it can't be told."""
    items = path if isinstance(path, list | tuple) else [path]
    kinds = {kind_of(str(item)) for item in items if isinstance(item, str | Path)}
    return kinds.pop() if len(kinds) == 1 else None


def _slice(frames: slice | str | None) -> slice | None:
    if not isinstance(frames, str):
        return frames
    try:
        return parse_range(frames)
    except ValueError:
        raise InputError("not a range of frames", value=frames, allowed="'first:last+1', such as '0:100'") from None
