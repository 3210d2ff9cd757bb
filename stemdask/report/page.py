"""Writing the page: what the analyses of a run show, in a template, in one file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import jinja2
import numpy as np
import xarray as xr

from stemdask.errors import StorageError, StoreError
from stemdask.figures import trends
from stemdask.model import FrameStatus
from stemdask.results import reader, shows
from stemdask.results.shows import Part, Picture
from stemdask.results.views import Results
from stemdask.store.disk import write_file
from stemdask.store.layout import run_directory

#: Failed frames that the report names one by one, and frames that a summary has a line for.
NAMED = 20
#: What a report says of itself, so that it may be written anew.
GENERATOR = '<meta name="generator" content="stemdask">'


def write(
    store: str | Path,
    output: str | Path | None = None,
    frame: int | None = None,
    *,
    ideal: str | Path | None = None,
) -> Path:
    """Write the report of a store; return where it is.

    Parameters
    ----------
    store
        The zarr store.
    output
        The HTML file; by default ``report.html`` in the run directory beside the store.
    frame
        The frame shown; by default the first one that went well.
    ideal
        Store of an ideal particle, whose first good frame is shown beside the structure.

    Raises
    ------
    StoreError
        The store isn't one of stemdask, or the ideal particle isn't one, or another file is in the report's place.
    StorageError
        The file system refused the report.
    """
    tree = reader.open_results(store)
    results = Results(tree, _ideal(tree, ideal) if ideal is not None else None)
    target = Path(output) if output is not None else run_directory(store) / "report.html"
    if output is not None:
        _check_free(target)
    environment = jinja2.Environment(autoescape=True, loader=jinja2.PackageLoader("stemdask.report"))
    environment.filters["png"] = _png
    page = environment.get_template("report.html").render(
        title=Path(store).name,
        parts=[_run(tree), *parts(results, frame)],
        version=tree.attrs["stemdask_version"],
        config=tree.attrs["config"],
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, page)
    except OSError as error:
        raise StorageError(
            f"the report can't be written: {error.strerror or error}", where=target, remedy="Name another with -o"
        ) from error
    return target


def parts(results: Results, frame: int | None = None) -> list[Part]:
    """Return what the analyses of a run show of a frame (the first good one), and of all of them; nothing without one.

    Parameters
    ----------
    results
        Of the run.
    frame
        The frame shown.
    """
    good = results.good()
    if frame is None and not good.size:
        return []
    chosen = int(good[0]) if frame is None else frame
    return [part for shown in shows.of_run(results) for part in shown.parts(results, chosen)] + trends.parts(results)


def summary(store: str | Path) -> list[str]:
    """Return the first frames of a store, a line each; none where the run has nothing to say of a single frame."""
    results = Results(reader.open_results(store))
    good = results.good()
    shown = list(shows.of_run(results))
    said = {index: [words for one in shown for words in one.words(results, int(index))] for index in good[:NAMED]}
    lines = [f"frame {index}: {'; '.join(words)}" for index, words in said.items() if words]
    return [*lines, f"and {len(good) - NAMED} frames more"] if lines and len(good) > NAMED else lines


def _check_free(target: Path) -> None:
    if target.is_dir():
        raise StoreError("a folder is here", where=target, remedy="Name the HTML file to write with -o")
    if target.exists():
        with target.open("rb") as handle:
            if GENERATOR.encode() not in handle.read(1000):
                raise StoreError(
                    "this file is no report of stemdask, and nothing else is overwritten",
                    where=target,
                    remedy="Name another with -o",
                )


def _ideal(tree: xr.DataTree, path: str | Path) -> xr.DataTree:
    ideal = reader.open_results(path)
    if Results(tree).kind != "atoms":
        raise StoreError("only structures are compared with an ideal particle", where="--ideal", value=path)
    beside = Results(ideal)
    if beside.kind != "atoms" or not beside.good().size:
        raise StoreError("there is no ideal particle in this store", where=path, allowed="a store of structures")
    return ideal


def _run(tree: xr.DataTree) -> Part:
    frames = tree["frames"].to_dataset().load()
    status = frames["frame_status"].values
    counts = ", ".join(f"{np.count_nonzero(status == s)} {s.name.lower()}" for s in FrameStatus if s in status)
    seconds = float(np.nansum(frames["seconds"]))
    rows = [
        ("frames", f"{status.size} ({counts})"),
        ("state", str(tree.attrs["state"])),
        ("created", str(tree.attrs["created"])),
        ("time of analysis", f"{seconds:.1f} s, {seconds / max(status.size, 1):.3g} s a frame"),
    ]
    bad = np.flatnonzero((status == FrameStatus.FAILED) | (status == FrameStatus.OVERFLOW))
    files, errors = frames["file"].values, frames["error"].values
    rows += [("warning", warning) for warning in tree.attrs.get("input_warnings", ())]
    rows += [(f"frame {index}", f"{files[index]}: {errors[index]}") for index in bad[:NAMED]]
    part = Part("The run", rows=rows)
    if bad.size > NAMED:
        part.sentences.append(f"{bad.size - NAMED} more frames have no results; 'stemdask status' names them.")
    return part


def _png(picture: Picture) -> str:
    buffer = io.BytesIO()
    picture.draw().savefig(buffer, format="png", dpi=130)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
