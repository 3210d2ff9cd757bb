"""What a sweep knows of each half: what it looks at, and by what candidates are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from stemdask.model import Kind
from stemdask.tuning import atoms, images
from stemdask.tuning.scores import Measure


class Half(NamedTuple):
    """Images or structures."""

    analyses: tuple[str, ...]
    """Those looked at; all else that a run does follows from them. The first is what is tuned."""
    measures: tuple[Measure, ...]
    standards: Callable[..., Any]
    """Frames that candidates are checked against, as its `frames`, with what is known of them, of one frame."""
    measured: Callable[..., Mapping[str, float]]
    """The measures of a candidate in one frame."""
    found_candidates: Callable[..., Iterable[tuple[str, str]]]
    """Keys and values that hang on what was found."""


HALVES: Mapping[Kind, Half] = {
    "images": Half(
        ("columns", "preprocess", "lattice", "scan_distortion", "displacement"),
        images.MEASURES,
        images.standards,
        images.measured,
        images.found_candidates,
    ),
    "atoms": Half(("bond_order", "rdf"), atoms.MEASURES, atoms.standards, atoms.measured, atoms.found_candidates),
}
