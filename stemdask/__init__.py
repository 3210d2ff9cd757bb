"""stemdask: atomic-resolution electron microscopy in bulk, over Dask, into one zarr store."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from stemdask._version import __version__
from stemdask.results import viewers

# Loaded on first use: `import stemdask` must stay cheap at the start of a worker and of the command line.
_HOMES = {
    "open_images": "stemdask.sources.images.opening",
    "open_atoms": "stemdask.sources.atoms.frames",
    "open_results": "stemdask.results.reader",
    "pack": "stemdask.store.pack",
    "run": "stemdask.engine.run",
}

if TYPE_CHECKING:
    from stemdask.engine.run import run
    from stemdask.results.reader import open_results
    from stemdask.sources.atoms.frames import open_atoms
    from stemdask.sources.images.opening import open_images
    from stemdask.store.pack import pack

__all__ = ["__version__", "open_atoms", "open_images", "open_results", "pack", "run"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stemdask' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def _in_notebook(tree: Any) -> Any:
    from stemdask.view.entrance import in_notebook

    return in_notebook(tree)


viewers.in_notebook = _in_notebook
