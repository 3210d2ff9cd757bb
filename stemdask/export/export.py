"""What a format of an export is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stemdask.export.folder import Folder
from stemdask.results.blocks import Blocks


@dataclass(frozen=True, slots=True)
class Export:
    """A format in which results are written for other programs."""

    name: str
    """As it is asked for."""
    holds: str
    """What of a store it holds, in a few words."""
    write: Callable[..., None]
    """``write(results: Blocks, folder: Folder)``, and the property of the atoms for a format that shows one."""
    shows_property: bool = False
    """One property of the atoms can be chosen, such as that in the B-factor column of a PDB."""

    def __call__(self, results: Blocks, folder: Folder, shown: str | None) -> None:
        """Write the results to a folder."""
        self.write(results, folder, *((shown,) if self.shows_property else ()))
