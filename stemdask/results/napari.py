"""The reader by which napari opens a store: images, columns, arrows, atoms. napari itself isn't imported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stemdask.store import metadata


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Any]] | None:
    """Return the reader of a store; None where the path is something else, as npe2 wants it.

    Parameters
    ----------
    path
        What the user opens; several stores aren't one stack.
    """
    return _read if isinstance(path, str) and metadata.is_known(Path(path)) else None


def _read(path: str | list[str]) -> list[Any]:
    from stemdask.results.reader import open_results

    assert isinstance(path, str)
    layers: list[Any] = open_results(path).stemdask.to_napari()
    return layers
