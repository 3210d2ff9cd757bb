"""The methods of a run for a paper: sentences with the parameters used, and BibTeX of what they rest on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stemdask._version import __version__
from stemdask.analyses import registry
from stemdask.model import Step
from stemdask.report.references import BIBTEX, software
from stemdask.results import reader, shows
from stemdask.results.shows import Method, Part
from stemdask.results.views import Results


def methods(results: Results, version: str) -> Part:
    """Return the part of the page.

    Parameters
    ----------
    results
        Of the run.
    version
        Of stemdask, that analysed.
    """
    found = [method_of(results, step) for step in results.steps if _own(results, step) is not None]
    others = [method_of(results, step) for step in results.steps if _own(results, step) is None]
    what = "Images were" if results.kind == "images" else "Structures were"
    sentences = [f"{what} analysed with stemdask {version}.", *(one.text for one in found)]
    if others:
        sentences.append("Also computed: " + "; ".join(one.text.removesuffix(".") for one in others) + ".")
    cited = dict.fromkeys(key for one in (*found, *others) for key in one.cites)
    text = " ".join(sentences).replace(" angstrom", " Å")  # as papers print what a config spells out
    part = Part("Methods", sentences=[text])
    entries = [software(version), *(BIBTEX[key] for key in (*cited, "hoyer2017"))]
    part.texts = [("BibTeX of the methods that ran", "\n\n".join(entries))]
    return part


def cite(store: Path | None = None) -> str:
    """Return as text what to cite: stemdask in BibTeX; of a store also how it was analysed, and what that rests on."""
    if store is None:
        return software(__version__)
    tree = reader.open_results(store)
    part = methods(Results(tree), tree.attrs["stemdask_version"])
    return "\n\n".join([*part.sentences, *(text for _, text in part.texts)])


def method_of(results: Results, step: Step) -> Method:
    """Return how an analysis of the run was done: in its own words, or by its summary and its parameters."""
    own = _own(results, step)
    if own is not None:
        return own(step.params)
    analysis = registry.get(results.kind, step.name)
    values = step.params.model_dump(mode="json", exclude_none=True)
    used = ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in values.items())
    return Method(f"{analysis.summary}{f' ({used})' if used else ''}.")


def _own(results: Results, step: Step) -> Callable[[Any], Method] | None:
    """Return what an analysis says of its method itself."""
    shown = shows.shown_by(registry.get(results.kind, step.name))
    return None if shown is None else shown.method


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
