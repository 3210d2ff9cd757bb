"""Structures as a user opens them: a lazy sequence of frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from stemdask.model import AtomsFrame
from stemdask.sources.atoms.opening import open_atoms_files
from stemdask.sources.atoms.source import AtomsSource
from stemdask.sources.paths import find_files

if TYPE_CHECKING:
    import xarray as xr


def open_atoms(
    path: str | Path | Sequence[str | Path],
    *,
    frames: slice | None = None,
    elements: Mapping[str, str] | None = None,
    scale: float = 1.0,
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
    scale
        Angstrom in a unit of length of the files.

    Examples
    --------
    >>> import stemdask as sd
    >>> frames = sd.open_atoms("stage*.pdb")
    >>> len(frames), frames[0].positions.shape
    (2, (116, 3))
    """
    _, fmt, files = find_files(path, "atoms")
    return AtomsFrames(open_atoms_files(files, fmt, frames=frames, elements=elements, scale=scale))


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
