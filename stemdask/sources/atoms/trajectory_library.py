"""Binary trajectories of simulations through libraries that are extras: gsd, and the file classes of MDAnalysis.

They read any frame without the ones before, but keep the place in their file.
"""

from __future__ import annotations

import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from stemdask.errors import InputError
from stemdask.sources.atoms.frame_index import FrameIndex

READING = threading.Lock()
"""To be held while a frame is read: threads of one process share the open file."""


def library(module: str, path: str) -> Any:
    """Import a module; raise InputError with the remedy where its package isn't installed."""
    try:
        return import_module(module)
    except ImportError:
        raise InputError(
            f"reading {Path(path).suffix} needs {module.partition('.')[0]}, which isn't installed",
            where=path,
            remedy="Run: pip install 'stemdask[trajectories]'",
        ) from None


def index_equal(n_frames: int, n_atoms: int) -> FrameIndex:
    """Index frames that all have the same atoms; a frame's place is its number."""
    return FrameIndex(list(range(n_frames)), list(range(1, n_frames + 1)), [n_atoms] * n_frames)


def cut_off(path: str) -> InputError:
    """Return the error for a file that doesn't end where a frame does."""
    return InputError(
        "lacks bytes: it doesn't end where a frame does", where=path, remedy="It was cut off; copy it from its origin"
    )
