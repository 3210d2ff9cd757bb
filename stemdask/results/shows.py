"""What an analysis shows of a run: its parts of a page, its figures by name, and a summary of one frame.

The figures of an analysis are in a separate module that the analysis names; it is imported on demand,
and matplotlib with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from stemdask.analyses import registry
from stemdask.kernels.arrays import Booleans
from stemdask.model import Analysis
from stemdask.results.views import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure, drawn on demand, and what it shows in words."""

    draw: Callable[[], Figure]
    caption: str


@dataclass(slots=True)
class Part:
    """A part of a page: a heading, sentences, rows of a table, and pictures."""

    title: str
    sentences: list[str] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Texts that are shown as they are, such as a config, and what each is."""

    def show(self, caption: str, draw: Callable[[], Figure]) -> None:
        """Add a picture."""
        self.pictures.append(Picture(draw, caption))


class Doubt(NamedTuple):
    """What is doubtful, and about which frames."""

    text: str
    of: Booleans
    """(frame,)."""


class Method(NamedTuple):
    """How an analysis was done, for the methods section of a paper."""

    text: str
    """Sentences, with the parameters used."""
    cites: Sequence[str] = ()
    """Keys of the table of references."""


@dataclass(frozen=True, slots=True)
class Shows:
    """What the module of an analysis' figures offers, as its ``SHOWS``."""

    parts: Callable[[Results, int], Sequence[Part]]
    """The parts for one frame, and for all frames."""
    plots: Mapping[str, Callable[..., Figure]]
    """Figures by the name that ``tree.stemdask.plot`` has for them; each takes the results, and its own options."""
    words: Callable[[Results, int], Sequence[str]] = lambda results, frame: ()
    """A frame in a few words, for one line of a terminal."""
    doubts: Callable[[Results], Sequence[Doubt]] = lambda results: ()
    """What makes frames doubtful, for all of them at once."""
    method: Callable[[Any], Method] | None = None
    """How it was done with some parameters; where nobody says so, the page names the parameters."""
    slides: Sequence[str] = ()
    """Which of the plots, each of a frame, are shown of several frames, one frame after the other."""
    choices: Callable[[Results], Sequence[str]] = lambda results: ()
    """What was chosen among several for the whole run, in a line each, for the first lines of a terminal."""


def shown_by(analysis: Analysis) -> Shows | None:
    """Return what an analysis shows; None if it shows nothing."""
    if analysis.shows is None:
        return None
    shows: Shows = import_module(analysis.shows).SHOWS
    return shows


def of_run(results: Results) -> Iterator[Shows]:
    """Yield what the analyses of a run show, in their order."""
    for step in results.steps:
        shows = shown_by(registry.get(results.kind, step.name))
        if shows is not None:
            yield shows
