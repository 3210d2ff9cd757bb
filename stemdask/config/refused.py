"""Values that pydantic refuses, in the words of somebody who writes a config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: What a value of each of pydantic's kinds of error must be. Others are told in pydantic's words.
_MUST_BE = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping, such as 'name: value'",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list in brackets",
    "mapping_type": "a mapping, such as 'name: value'",
    "model_type": "a mapping, such as 'name: value'",
    "string_type": "text",
    "tuple_type": "a list in brackets",
}
_EMPTY = {"string_too_short": "must not be empty"}
_OTHERS = "Input should be "


def choices(items: Sequence[Any]) -> list[str]:
    """Return the words of which the value at one key must be one, over all forms that it may take."""
    found = [re.findall(r"'([^']*)'", item["ctx"]["expected"]) for item in items if item["type"] == "literal_error"]
    return [word for words in found for word in words]


def sentence(items: Sequence[Any]) -> str:
    """Return what is wrong with the value at one key, of which pydantic says something for each form it may take."""
    listed = [f"'{word}'" for word in choices(items)]
    others = list(dict.fromkeys(_one(item) for item in items if item["type"] != "literal_error"))
    one_of = " or ".join(filter(None, [", ".join(listed[:-1]), *listed[-1:]]))
    needed = [what.removeprefix("must be ") for what in others if what.startswith("must be ")]
    told = [what for what in others if not what.startswith("must be ")]
    if told:  # it was read as one of its forms, and that was wrong
        what = "; or ".join(told) + (f"; {one_of} can be given instead" if listed else "")
    else:
        what = "must be " + ", or ".join(filter(None, [one_of, *needed]))
    given = items[0].get("input")
    known = isinstance(given, Mapping | list | tuple) or repr(given) in what or str(given) in " ".join(told)
    return what if known else f"{what} (got {given!r})"


def _one(item: Any) -> str:
    kind, what = item["type"], str(item["msg"])
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind]}"
    if kind in _EMPTY:
        return _EMPTY[kind]
    if kind in ("too_short", "too_long"):
        side, limit = ("least", "min_length") if kind == "too_short" else ("most", "max_length")
        return f"needs at {side} {item['ctx'][limit]} entries, got {item['ctx']['actual_length']}"
    return what.removeprefix("Value error, ").replace(_OTHERS, "must be ")
