"""The record of an export format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stemdask.export.folder import Folder
from stemdask.results.blocks import Blocks


@dataclass(frozen=True, slots=True)
class Export:
    """A format in which results are exported for other programs."""

    name: str
    """Its name on the command line."""
    holds: str
    """What it holds of a store, in a few words."""
    write: Callable[..., None]
    """``write(results: Blocks, folder: Folder)``, and the property of the atoms for a format that shows one."""
    shows_property: bool = False
    """One property of the atoms can be chosen, such as that in the B-factor column of a PDB."""

    def __call__(self, results: Blocks, folder: Folder, shown: str | None) -> None:
        """Write the results to a folder."""
        self.write(results, folder, *((shown,) if self.shows_property else ()))
