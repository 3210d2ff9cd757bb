"""The analyses of a run, each with its parameters, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from stemdask.analyses import registry
from stemdask.analyses.given_file import seal
from stemdask.config.document import Document
from stemdask.config.problems import in_words, nearest
from stemdask.errors import InputError, StemdaskError
from stemdask.model import Kind, Step


def steps(document: Document, kind: Kind, defaults: Sequence[str] | None = None) -> tuple[tuple[Step, ...], list[str]]:
    """Return the analyses of a run in their order, needed ones added, and every problem found in their params.

    Where the document names none, `defaults` are taken; None: the usual ones of the kind.
    """
    usual = registry.DEFAULTS[kind] if defaults is None else defaults
    found: dict[str, Step] = {}
    problems: list[str] = []
    for name, values in _chosen(document, usual).items():
        path = ("analyses", name)
        if name not in registry.names(kind):
            problems.append(document.problem(path, _not_known(name, kind)))
            continue
        model = registry.get(kind, name).params
        try:
            found[name] = Step(name, seal(model.model_validate({} if values is None else values)))
        except ValidationError as error:
            problems += in_words(error, document, path, model)
        except InputError as error:
            problems.append(document.problem((*path, str(error.where)), error.what))
    names = _with_needed(found, kind)
    added = {name: Step(name, registry.get(kind, name).params()) for name in names if name not in found}
    return tuple((found | added)[name] for name in _in_order(names, kind)), problems


def topological(before: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the keys such that each comes after what it names; of those that could be next, the first one given is.

    Parameters
    ----------
    before
        What comes before each key; names that are no keys don't count.

    Raises
    ------
    StemdaskError
        Some wait for each other.

    Notes
    -----
    Kahn, Comm. ACM 5, 558 (1962).
    """
    waiting = {name: {other for other in others if other in before} for name, others in before.items()}
    ordered: list[str] = []
    while waiting:
        ready = next((name for name, others in waiting.items() if not others), None)
        if ready is None:
            raise StemdaskError("analyses wait for each other", value=", ".join(waiting), remedy="Fix their `needs`")
        del waiting[ready]
        for others in waiting.values():
            others.discard(ready)
        ordered.append(ready)
    return tuple(ordered)


def _chosen(document: Document, usual: Sequence[str]) -> Mapping[str, Any]:
    named = document.data.get("analyses")
    defaults: dict[str, Any] = {name: {} for name in usual}
    if named is None:
        return defaults
    if not isinstance(named, dict):
        return {}  # said by the check of the config itself
    return defaults | named if document.beside_defaults else named


def _with_needed(names: Sequence[str] | Mapping[str, Step], kind: Kind) -> set[str]:
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += registry.get(kind, name).needs
    return found


def _in_order(names: set[str], kind: Kind) -> tuple[str, ...]:
    """Return the names by what each reads, otherwise in the order of the table; the config's has no effect."""
    analyses = [registry.get(kind, name) for name in registry.names(kind) if name in names]
    return topological({analysis.name: (*analysis.needs, *analysis.after) for analysis in analyses})


def _not_known(name: str, kind: Kind) -> str:
    other: Kind = "atoms" if kind == "images" else "images"
    if name in registry.names(other):
        return f"is an analysis of {other}, and the input holds {kind}; known here: {', '.join(registry.names(kind))}"
    return "unknown analysis" + nearest(name, registry.names(kind))
