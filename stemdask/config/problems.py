"""A document checked against the keys: one sentence per mistake, with the key and its line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from stemdask.config.document import Document
from stemdask.config.keys import Config
from stemdask.config.refused import choices, sentence


def validate(document: Document) -> tuple[Config | None, list[str]]:
    """Return the config, or None and every problem found."""
    data = dict(document.data)
    if isinstance(data.get("analyses"), dict):  # `columns:` with nothing behind it means its defaults
        data["analyses"] = {key: {} if value is None else value for key, value in data["analyses"].items()}
    try:
        return Config.model_validate(data, context={"own_lines": document.own_lines}), []
    except ValidationError as error:
        return None, in_words(error, document, (), Config)


def in_words(error: ValidationError, document: Document, prefix: tuple[str, ...], model: type[BaseModel]) -> list[str]:
    """Return what is wrong with the part of a document that `model` describes, one sentence per key.

    Parameters
    ----------
    error
        What pydantic says.
    document
        The config as written.
    prefix
        Keys that lead to the part.
    model
        Describes it.
    """
    found: dict[tuple[str | int, ...], list[str]] = {}
    refused: dict[tuple[str | int, ...], list[Any]] = {}
    for item in error.errors(include_url=False):
        path = (*prefix, *_keys(item, document, prefix))
        if item["type"] == "extra_forbidden":
            what = "unknown key" + nearest(str(path[-1]), _siblings(model, item["loc"][:-1]))
        elif item["type"] == "missing":
            what = "is missing"
        elif item["type"] == "union_tag_invalid":
            kinds = re.findall(r"'(\w+)'", item["ctx"]["expected_tags"])
            path, tag = (*path, "kind"), str(item["ctx"]["tag"])
            what = f"must be one of {', '.join(kinds)} (got {tag!r})" + nearest(tag, kinds, tell=False)
        elif item["type"] == "tuple_type" and not isinstance(item["input"], list) and path in refused:
            continue  # the other forms of the value have been named; a list was not meant
        else:
            refused.setdefault(path, []).append(item)
            found.setdefault(path, [])
            continue
        found.setdefault(path, []).append(what)
    for path, items in refused.items():
        near = _close(str(items[0].get("input")), choices(items))
        found[path].append(sentence(items) + (f"; did you mean '{near[0]}'?" if near else ""))
    return [document.problem(path, "; or ".join(whats)) for path, whats in found.items()]


def nearest(name: str, known: Sequence[str], *, tell: bool = True) -> str:
    """Return the end of a sentence that suggests the nearest known name, or lists all if `tell`."""
    if close := _close(name, known):
        return f"; did you mean '{close[0]}'?"
    return f"; known here: {', '.join(known)}" if known and tell else ""


def _close(name: str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.65)


def _keys(item: Any, document: Document, prefix: tuple[str, ...]) -> list[str | int]:
    """Drop from pydantic's location the names of union members, which are no keys of the config."""
    here: Any = document.data
    for key in prefix:
        here = here.get(key) if isinstance(here, Mapping) else None
    keys: list[str | int] = []
    for key in item["loc"]:
        inside = (isinstance(here, Mapping) and key in here) or (isinstance(here, list) and isinstance(key, int))
        if inside:
            here = here[key]
            keys.append(key)
    return [*keys, item["loc"][-1]] if item["type"] == "missing" else keys


def _siblings(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the keys allowed beside the one at `location`."""
    here: Any = model
    for key in location:
        fields = getattr(here, "model_fields", {})
        if key in fields:
            here = _model_in(fields[key].annotation)
        elif isinstance(here, tuple):
            here = next((member for member in here if str(key) in (member.__name__, _tag(member))), None)
    members = here if isinstance(here, tuple) else (here,)
    return [name for member in members for name in getattr(member, "model_fields", {})]


def _model_in(annotation: Any) -> Any:
    """Return the model that an annotation holds, or a tuple of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(argument) for argument in getattr(annotation, "__args__", ())]
    flat = tuple(m for one in found if one is not None for m in (one if isinstance(one, tuple) else (one,)))
    return flat if len(flat) > 1 else flat[0] if flat else None


def _tag(member: type[BaseModel]) -> str:
    kind = member.model_fields.get("kind")
    return str(getattr(kind.annotation, "__args__", ("",))[0]) if kind else ""
