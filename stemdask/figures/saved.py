"""Figures of a store as files for a paper: vectors with text that can be edited, or pixels."""

from __future__ import annotations

import difflib
import inspect
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from stemdask.errors import ConfigError, StoreError
from stemdask.export.folder import Folder
from stemdask.figures.style import style
from stemdask.results import reader, shows
from stemdask.results.views import Results
from stemdask.sources.frame_range import parse_range
from stemdask.store.disk import write_file

FORMATS = ("svg", "pdf", "png")
#: Text stays text, of which other programs can change the words and the type; pixels are those of print.
_RC: Any = {"svg.fonttype": "none", "svg.hashsalt": "stemdask", "pdf.fonttype": 42, "savefig.dpi": 300}
#: What is written into a file beside the figure; no date, so that the same figure is the same file.
_METADATA: dict[str, dict[str, str | None]] = {
    "svg": {"Creator": "stemdask", "Date": None},
    "pdf": {"Creator": "stemdask", "CreationDate": None},
    "png": {"Software": "stemdask"},
}


def save(
    store: str | Path, folder: str | Path, *, frames: str | None = None, format: str = "svg", only: Sequence[str] = ()
) -> list[Path]:
    """Write the figures of a run; return the files.

    Parameters
    ----------
    store
        The zarr store.
    folder
        Where to write; figures of a frame end in its number.
    frames
        Which frames, "first:last+1", of the figures that show one; by default the first one with results.
    format
        svg, pdf or png.
    only
        Names of figures, as ``tree.stemdask.plot`` has them; by default all.

    Raises
    ------
    ConfigError
        No such format or range.
    StoreError
        It isn't a store of stemdask, has no such figure or no results of such frames, or a file is in the way.
    StorageError
        The file system refused a file.
    """
    if format not in FORMATS:
        raise ConfigError("no such format of figures", where="--format", value=format, allowed=", ".join(FORMATS))
    results = Results(reader.open_results(store))
    plots = _plots(results, only)
    chosen = _frames(results, frames)
    target = Folder(Path(folder))
    for name, plot in plots.items():
        for stem, draw in _drawings(results, name, plot, chosen):
            try:
                figure = draw()
            except StoreError:  # of a figure that this run doesn't hold, such as of a comparison that wasn't made
                if only:
                    raise
                continue
            with target.file(f"{stem}.{format}") as path, style(), mpl.rc_context(_RC):
                figure.savefig(path, format=format, metadata=_METADATA[format])
    return target.written


def write_picture(figure: Figure, path: Path, software: str = "stemdask") -> None:
    """Write a figure as PNG, whole or not at all, with the name of what made it.

    Raises
    ------
    StorageError
        The file system refused it; a picture that was there before still is.
    """
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": software})
    write_file(path, data.getvalue())


def _plots(results: Results, only: Sequence[str]) -> dict[str, Callable[..., Figure]]:
    there = {name: plot for shown in shows.of_run(results) for name, plot in shown.plots.items()}
    for name in only:
        if name not in there:
            near = difflib.get_close_matches(name, there, 1)
            raise StoreError(
                "the run has no such figure",
                where="--only",
                value=name,
                allowed=", ".join(sorted(there)),
                remedy=f"Did you mean '{near[0]}'?" if near else None,
            )
    return {name: plot for name, plot in there.items() if not only or name in only}


def _frames(results: Results, frames: str | None) -> list[int]:
    """Return the frames with results that are asked for."""
    good = [int(frame) for frame in results.good()]
    if frames is None:
        return good[:1]
    try:
        asked = range(results.n_frames)[parse_range(frames)]
    except ValueError as error:
        raise ConfigError(str(error), where="--frames") from None
    chosen = [frame for frame in good if frame in asked]
    if not chosen:
        raise StoreError("no frame of this range has results", where="--frames", value=frames)
    return chosen


def _drawings(
    results: Results, name: str, plot: Callable[..., Figure], frames: Sequence[int]
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Yield what the files of a figure are called, and what draws each."""
    if "frame" not in inspect.signature(plot).parameters:
        yield name, lambda: plot(results)
        return
    digits = max(4, len(str(results.n_frames - 1)))
    for frame in frames:
        yield f"{name}_{frame:0{digits}d}", lambda frame=frame: plot(results, frame=frame)  # type: ignore[misc]
