"""Pictures of the gallery: of the last expression of a block, where that is a figure made without pyplot."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def scrape(_block: tuple[Any, ...], variables: dict[str, Any], conf: dict[str, Any]) -> str:
    """Save the figure and return what shows it; sphinx-gallery keeps the last expression of a block as ``___``."""
    space = variables["example_globals"]
    shown = space.get("___")
    if not isinstance(shown, Figure) or shown is space.get("__shown__"):
        return ""
    space["__shown__"] = shown
    path = next(variables["image_path_iterator"])
    shown.savefig(path)
    return str(figure_rst([path], conf["src_dir"]))
