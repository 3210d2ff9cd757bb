"""What the keys of a config mean: the text below each in the source of its section.

pydantic could keep these texts with the keys (`use_attribute_docstrings`). It would then read the source of every
section at every start, a tenth of the time of all imports, and only help needs them.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema


@cache
def meanings(section: type[BaseModel]) -> Mapping[str, str]:
    """Return the meaning of each key of a section or of the parameters of an analysis.

    Parameters
    ----------
    section
        The model; keys that it has from its bases are found there.

    Examples
    --------
    >>> from stemdask.config.keys import Input
    >>> meanings(Input)["path"]
    'A file, a folder, a glob or a list of them; read in natural order.'
    """
    found: dict[str, str] = {}
    for model in reversed(section.__mro__):
        if issubclass(model, BaseModel) and model is not BaseModel:
            found |= _written_below(model)
    return {key: found[key] for key in section.model_fields if key in found}


def _written_below(model: type[BaseModel]) -> dict[str, str]:
    (section,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(section, ast.ClassDef)
    return {
        key.id: inspect.cleandoc(text)
        for one, following in pairwise(section.body)
        if isinstance(one, ast.AnnAssign) and isinstance(following, ast.Expr)
        if isinstance(key := one.target, ast.Name) and isinstance(below := following.value, ast.Constant)
        if isinstance(text := below.value, str)
    }


class WithMeanings(GenerateJsonSchema):
    """Makes the JSON schema of a section, each key with its meaning."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """Return that of one model."""
        made = super().model_schema(schema)
        for key, text in meanings(schema["cls"]).items():
            made["properties"][key]["description"] = text
        return made
