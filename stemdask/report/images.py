"""The parts of a report on images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from stemdask.figures import images
from stemdask.model import ImageFrame
from stemdask.report import maps
from stemdask.report.parts import Part, median_row


def parts(tree: xr.DataTree, index: int) -> Iterator[Part]:
    """Yield what there is to say of one frame, and of all of them."""
    image = tree.stemdask.image(index)
    yield _columns(tree, index, image)
    if "displacement" in tree:
        yield _displacement(tree, index, image)
    yield from maps.parts(tree, index)


def summary(tree: xr.DataTree, index: int) -> str:
    """Return one frame in a line."""
    columns = tree.stemdask.at("columns", index)
    words = [f"{count} {name}" for name, count in _counts(columns)]
    if "displacement" in tree:
        found = tree.stemdask.at("displacement", index)
        noise = np.sqrt(0.5 * (found["u_err"].values ** 2 + found["v_err"].values ** 2))
        if np.isfinite(noise).any():
            median, floor = np.nanmedian(found["magnitude"].values), np.nanmedian(noise)
            if found["u"].attrs["units"] == "pm":
                words.append(f"median displacement {median:.1f} pm, noise floor {floor:.1f} pm")
            else:
                words.append(f"median displacement {median / 1000:.3f} px, noise floor {floor / 1000:.3f} px")
                words.append("for lengths in pm give --set input.pixel_size='0.0297 nm', as it is")
    return "; ".join(words)


def _columns(tree: xr.DataTree, index: int, image: ImageFrame | None) -> Part:
    columns = tree.stemdask.at("columns", index)
    part = Part(f"Columns of frame {index}", rows=[(name, str(count)) for name, count in _counts(columns)])
    for name in ("y_err", "x_err"):
        if name in columns:
            part.rows.append(median_row(f"median standard error of {name[0]}", columns[name]))
    if "lattice" in tree:
        lattice = tree.stemdask.at("lattice", index)
        for vector in "ab":
            length = float(np.hypot(lattice[f"{vector}_y"], lattice[f"{vector}_x"]))
            part.rows.append((f"lattice vector {vector}", f"{length:.4f} {lattice[f'{vector}_y'].attrs['units']}"))
    if image is not None:
        part.figures.append((images.overlay(image, columns), "The columns found, over the image."))
    else:
        part.sentences.append("The input can't be read from here, so the columns are shown without their image.")
    return part


def _displacement(tree: xr.DataTree, index: int, image: ImageFrame | None) -> Part:
    found = tree.stemdask.at("displacement", index)
    part = Part(f"Displacement of frame {index}", rows=[median_row("median magnitude", found["magnitude"])])
    for name in ("u", "v"):
        part.rows.append(median_row(f"median {name}", found[name]))
        part.rows.append(median_row(f"median standard error of {name}", found[f"{name}_err"]))
    if "significant" in found:
        known = found["significant"].values[np.isfinite(found["u"].values)]
        part.rows.append(("significant at 95 %", f"{int((known == 1).sum())} of {known.size}"))
    part.figures = [
        (images.quiver(found, image), "Displacement of the B columns; colour = direction."),
        (images.distribution(found), "All vectors, and what their standard errors alone would give."),
    ]
    return part


def _counts(columns: xr.Dataset) -> list[tuple[str, int]]:
    good = np.isfinite(columns["y"].values)
    found = [("columns", int(good.sum()))]
    if "sublattice" in columns:
        kinds = columns["sublattice"].values[good]
        for value in np.unique(kinds):
            name = f"of sublattice {'ABCDEFGH'[value]}" if value >= 0 else "of no sublattice"
            found.append((name, int((kinds == value).sum())))
    return found
