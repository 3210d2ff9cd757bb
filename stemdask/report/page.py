"""Writing the page: the parts of a store, in a template, in one file."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import numpy as np
import xarray as xr

from stemdask.errors import StorageError, StoreError
from stemdask.model import FrameStatus
from stemdask.report import atoms, images
from stemdask.report.parts import Part, values
from stemdask.results import reader
from stemdask.store.layout import run_directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    good = tree.stemdask.good()
    chosen = frame if frame is not None else int(good[0]) if good.size else None
    parts = [_run(tree)]
    beside = _ideal(tree, ideal) if ideal is not None else None
    if chosen is not None:
        parts += images.parts(tree, chosen) if "columns" in tree else atoms.parts(tree, chosen, beside)
    target = Path(output) if output is not None else run_directory(store) / "report.html"
    if output is not None:
        _check_free(target)
    environment = jinja2.Environment(autoescape=True, loader=jinja2.PackageLoader("stemdask.report"))
    environment.filters["png"] = _png
    page = environment.get_template("report.html").render(
        title=Path(store).name, parts=parts, version=tree.attrs["stemdask_version"], config=tree.attrs["config"]
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"the report can't be written: {error.strerror or error}", where=target, remedy="Name another with -o"
        ) from error
    return target


def summary(store: str | Path) -> list[str]:
    """Return the first frames of a store, a line each."""
    tree = reader.open_results(store)
    half = images if "columns" in tree else atoms
    good = tree.stemdask.good()
    lines = [f"frame {index}: {half.summary(tree, index)}" for index in good[:NAMED]]
    return lines if len(good) <= NAMED else [*lines, f"and {len(good) - NAMED} frames more"]


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
    if "atoms" not in tree:
        raise StoreError("only structures are compared with an ideal particle", where="--ideal", value=path)
    if "atoms" not in ideal or not ideal.stemdask.good().size:
        raise StoreError("there is no ideal particle in this store", where=path, allowed="a store of structures")
    return ideal


def _run(tree: xr.DataTree) -> Part:
    status = values(tree, "frames/frame_status")
    files, errors = values(tree, "frames/file"), values(tree, "frames/error")
    counts = ", ".join(f"{np.count_nonzero(status == s)} {s.name.lower()}" for s in FrameStatus if s in status)
    seconds = float(np.nansum(values(tree, "frames/seconds")))
    rows = [
        ("frames", f"{status.size} ({counts})"),
        ("state", str(tree.attrs["state"])),
        ("created", str(tree.attrs["created"])),
        ("time of analysis", f"{seconds:.1f} s, {seconds / max(status.size, 1):.3g} s a frame"),
    ]
    bad = np.flatnonzero((status == FrameStatus.FAILED) | (status == FrameStatus.OVERFLOW))
    rows += [(f"frame {index}", f"{files[index]}: {errors[index]}") for index in bad[:NAMED]]
    part = Part("The run", rows=rows)
    if bad.size > NAMED:
        part.sentences.append(f"{bad.size - NAMED} more frames have no results; 'stemdask status' names them.")
    return part


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
