"""The parts of a report on denoised maps and domains."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from stemdask.figures import domains as figures
from stemdask.figures import maps
from stemdask.report.parts import Part


def parts(tree: xr.DataTree, index: int) -> Iterator[Part]:
    """Yield what there is to say of the maps of all frames, with one frame shown."""
    if "denoise_images" in tree:
        yield Part("Denoised images", sentences=[str(tree["denoise_images"].attrs["statement"])])
    if "denoised" in tree:
        yield _denoised(tree, index)
    if "domains" in tree:
        yield _domains(tree, index)


def _denoised(tree: xr.DataTree, index: int) -> Part:
    attributes = tree["denoised"].attrs
    part = Part("Denoised displacements", sentences=[str(attributes["statement"])])
    if "reason" in attributes:
        part.sentences.append(str(attributes["reason"]))
    part.rows = [("method", str(attributes["method"])), ("components", str(attributes["n_components"]))]
    measured, denoised = (tree.stemdask.at(group, index) for group in ("displacement", "denoised"))
    part.figures.append(
        (maps.denoising(measured, denoised), f"Frame {index} as measured, denoised, and what was removed.")
    )
    if "components" in tree:
        components = tree["components"].to_dataset().load()
        part.figures.append((maps.scree(components, int(attributes["n_components"])), "How many components are kept."))
        if attributes["layout"] == "frames":
            part.figures.append((maps.component_maps(components), "The leading components."))
    if "comparison" in tree:
        compared, about = tree["comparison"].to_dataset().load(), tree["comparison"].attrs
        caption = "Every method: its error, and what it takes from a known step."
        part.figures.append((maps.comparison(compared, about["methods"], about["best"]), caption))
        part.figures.append((maps.residuals(compared, about["methods"]), "What every method removed."))
    return part


def _domains(tree: xr.DataTree, index: int) -> Part:
    attributes = tree["domains"].attrs
    names, directions = attributes["classes"], attributes["directions"]
    part = Part("Domains", sentences=[str(attributes["statement"])], rows=[("domains", str(attributes["n_domains"]))])
    domains = tree["domains"].to_dataset().load()
    if "evidence" in domains and np.isfinite(domains["evidence"]).any():
        part.figures.append((figures.evidence(domains), "What speaks for each number of domains."))
    if not names:
        return part
    shown = tree.stemdask.at("denoised" if "denoised" in tree else "displacement", index)
    places = tree.stemdask.at("displacement", index)
    shown = shown.assign(y=places["y"], x=places["x"])
    label = tree.stemdask.at("domains", index)
    part.figures.append(
        (figures.domain_map(shown, label, directions, names), f"Domains of frame {index}; grey = none.")
    )
    if tree["frames"].sizes["frame"] > 1:
        part.figures.append((figures.fractions(domains, directions, names), "Domains over the frames."))
    if "confusion" in domains:
        part.figures.append(
            (figures.confusion(domains["confusion"].values, names), "How well the classes are told apart.")
        )
    if "embedding" in tree:
        embedded = tree["embedding"].to_dataset().load()
        part.figures.append((figures.embedding(embedded, directions), "Surroundings of a sample of the cells."))
    return part
