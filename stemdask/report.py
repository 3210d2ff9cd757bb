"""One self-contained HTML file with the figures and the numbers of a store."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import numpy as np
import xarray as xr
import yaml

from stemdask.errors import StemdaskError
from stemdask.figures import atoms, images
from stemdask.model import FrameStatus, ImageFrame
from stemdask.sources import opening
from stemdask.store import reader
from stemdask.store.layout import run_directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Failed frames that the report names one by one.
NAMED = 20


@dataclass(slots=True)
class Part:
    """A part of the report: a heading, sentences, rows of a table, and figures with their captions."""

    title: str
    sentences: list[str] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    figures: list[tuple[Figure, str]] = field(default_factory=list)


def write(store: str | Path, output: str | Path | None = None, frame: int | None = None) -> Path:
    """Write the report of a store; return where it is.

    Parameters
    ----------
    store
        The zarr store.
    output
        The HTML file; by default ``report.html`` in the run directory beside the store.
    frame
        The frame shown; by default the first one that went well.

    Raises
    ------
    StoreError
        The store isn't one of stemdask.
    """
    tree = reader.open_results(store)
    chosen = _first_good(tree) if frame is None else frame
    parts = [_run(tree)]
    if chosen is not None:
        parts += _image_parts(tree, chosen) if "columns" in tree else _atom_parts(tree, chosen)
    target = Path(output) if output is not None else run_directory(store) / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    environment = jinja2.Environment(autoescape=True, loader=jinja2.PackageLoader("stemdask"))
    environment.filters["png"] = _png
    page = environment.get_template("report.html").render(
        title=Path(store).name, parts=parts, version=tree.attrs["stemdask_version"], config=tree.attrs["config"]
    )
    target.write_text(page, encoding="utf-8")
    return target


def _run(tree: xr.DataTree) -> Part:
    frames = tree["frames"]
    status = frames["frame_status"].values
    counts = ", ".join(f"{(status == s).sum()} {s.name.lower()}" for s in FrameStatus if (status == s).any())
    seconds = float(np.nansum(frames["seconds"].values))
    part = Part("The run")
    part.rows = [
        ("frames", f"{status.size} ({counts})"),
        ("state", str(tree.attrs["state"])),
        ("created", str(tree.attrs["created"])),
        ("time of analysis", f"{seconds:.1f} s, {seconds / max(status.size, 1):.3g} s a frame"),
    ]
    bad = np.flatnonzero((status == FrameStatus.FAILED) | (status == FrameStatus.OVERFLOW))
    for index in bad[:NAMED]:
        part.rows.append((f"frame {index}", f"{frames['file'].values[index]}: {frames['error'].values[index]}"))
    if bad.size > NAMED:
        part.sentences.append(f"{bad.size - NAMED} more frames have no results; 'stemdask status' names them all.")
    return part


def _image_parts(tree: xr.DataTree, index: int) -> Iterator[Part]:
    image = _image(tree, index)
    columns = _at(tree, "columns", index)
    part = Part(f"Columns of frame {index}")
    good = np.isfinite(columns["y"].values)
    part.rows.append(("columns", str(int(good.sum()))))
    if "sublattice" in columns:
        for value in np.unique(columns["sublattice"].values[good]):
            name = f"sublattice {'ABCDEFGH'[value]}" if value >= 0 else "no sublattice"
            part.rows.append((name, str(int((columns["sublattice"].values[good] == value).sum()))))
    for name in ("y_err", "x_err"):
        if name in columns:
            part.rows.append(_median_row(f"median standard error of {name[0]}", columns[name]))
    if "lattice" in tree:
        lattice = _at(tree, "lattice", index)
        for vector in "ab":
            length = float(np.hypot(lattice[f"{vector}_y"], lattice[f"{vector}_x"]))
            part.rows.append((f"lattice vector {vector}", f"{length:.4f} {lattice[f'{vector}_y'].attrs['units']}"))
    if image is not None:
        part.figures.append((images.overlay(image, columns), "The columns found, over the image."))
    else:
        part.sentences.append("The input can't be read from here, so the columns are shown without their image.")
    yield part
    if "displacement" in tree:
        displacement = _at(tree, "displacement", index)
        vectors = Part(f"Displacement of frame {index}")
        vectors.rows = [_median_row("median magnitude", displacement["magnitude"])]
        for name in ("u", "v"):
            vectors.rows.append(_median_row(f"median {name}", displacement[name]))
            vectors.rows.append(_median_row(f"median standard error of {name}", displacement[f"{name}_err"]))
        if "significant" in displacement:
            known = displacement["significant"].values[np.isfinite(displacement["u"].values)]
            vectors.rows.append(("significant at 95 %", f"{int((known == 1).sum())} of {known.size}"))
        vectors.figures = [
            (
                images.quiver(displacement, image),
                "Displacement of the B columns; colour = direction.",
            ),
            (images.distribution(displacement), "All vectors, and what their standard errors alone would give."),
        ]
        yield vectors


def _atom_parts(tree: xr.DataTree, index: int) -> Iterator[Part]:
    part = Part(f"Structure of frame {index}")
    if "particle" in tree:
        particle = _at(tree, "particle", index)
        for name, variable in particle.data_vars.items():
            if variable.ndim == 0:
                part.rows.append((variable.attrs.get("long_name", str(name)), _number(variable)))
    if "atoms" in tree:
        found = _at(tree, "atoms", index)
        part.rows.insert(0, ("atoms", str(int(np.isfinite(found["x"].values).sum()))))
        if "q6_avg" in found:
            part.figures.append((atoms.order_maps(found), "Bond order of every atom; crosses mark perfect crystals."))
            part.figures.append((atoms.structure(found), "The structure in two projections."))
    if "rdf" in tree:
        part.figures.insert(0, (atoms.pair_distribution(_at(tree, "rdf", index)), "Pair distribution function."))
    if "particle" in tree and "coordination_histogram" in particle:
        part.figures.append((atoms.coordination(particle), "Atoms by coordination number."))
    yield part
    series = {
        name: tree["particle"][name].attrs["long_name"]
        for name in ("diameter", "n_disordered", "fraction_disordered")
        if "particle" in tree and name in tree["particle"]
    }
    if series and tree["frames"].sizes["frame"] > 1:
        time = Part("Frame after frame")
        time.figures.append((atoms.time_series(tree["particle"].to_dataset(), series), "The particle in time."))
        yield time


def _first_good(tree: xr.DataTree) -> int | None:
    good = np.flatnonzero(tree["frames"]["frame_status"].values == FrameStatus.OK)
    return int(good[0]) if good.size else None


def _at(tree: xr.DataTree, group: str, index: int) -> xr.Dataset:
    dataset = tree[group].to_dataset()
    return dataset.isel(frame=index).load() if "frame" in dataset.dims else dataset.load()


def _image(tree: xr.DataTree, index: int) -> ImageFrame | None:
    section = yaml.safe_load(tree.attrs["config"])["input"]
    section.pop("calibrate_from", None)
    try:
        frame = opening.open_source(section.pop("path"), **section).read(index)
    except (StemdaskError, OSError):
        return None
    return frame if isinstance(frame, ImageFrame) else None


def _median_row(name: str, array: xr.DataArray) -> tuple[str, str]:
    values = array.values[np.isfinite(array.values)]
    return name, f"{np.median(values):.4g} {array.attrs['units']}" if values.size else "none"


def _number(array: xr.DataArray) -> str:
    units = array.attrs.get("units", "1")
    return f"{float(array.values):.6g}" + ("" if units == "1" else f" {units}")


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
