"""The methods of a run for a paper: sentences with the parameters used, and BibTeX of what they rest on."""

from __future__ import annotations

from pathlib import Path

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
    found = [method_of(results, step) for step in results.steps]
    what = "Images were" if results.kind == "images" else "Structures were"
    sentences = [f"{what} analysed with stemdask {version}.", *(one.text for one in found)]
    cited = dict.fromkeys(key for one in found for key in one.cites)
    part = Part("Methods", sentences=[" ".join(sentences)])
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
    analysis = registry.get(results.kind, step.name)
    shown = shows.shown_by(analysis)
    if shown is not None and shown.method is not None:
        return shown.method(step.params)
    values = step.params.model_dump(mode="json", exclude_none=True)
    used = ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in values.items())
    return Method(f"{analysis.summary}{f' ({used})' if used else ''}.")


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
