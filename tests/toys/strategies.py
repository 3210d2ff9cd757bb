"""Values for the fields of a model, drawn from what the fields declare."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from stemdask.analyses.given_file import GivenFile, ReadFile
from stemdask.config import shell_safe, values
from stemdask.units import Length

#: Text that YAML may take for something else, or that means something to one of the models.
_TEXTS = (
    "no",
    "1e3",
    "08",
    "null",
    "~",
    "2026-01-02",
    "12:30:45",
    ".inf",
    " a ",
    "a: b",
    "#",
    "Å",
    "particle/diameter",
)
_words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.]{0,8}", fullmatch=True)
#: Of the types that read their own text.
_OWN: list[tuple[Any, SearchStrategy[Any]]] = [
    (values.Memory, st.integers(2**20, 2**50) | st.sampled_from(["4 GiB", "1500 MB"])),
    (values.Walltime, st.sampled_from(["00:10:00", "7-00:00:00"])),
    (values.FrameRange, st.sampled_from([None, "0:100", ":7", "3:", ":"])),
    (ReadFile, st.builds(lambda: GivenFile(path=__file__).sealed())),
    (shell_safe.Name, _words),
    (shell_safe.PlainPath, _words),
    (shell_safe.Directive, st.sampled_from(["--constraint=a&b", "--mem-per-cpu=0"])),
    (shell_safe.OwnCommand | None, st.none()),
    (shell_safe.Expression, st.sampled_from(["a|b", "[a&b]"])),
    (shell_safe.Mail, st.just("me@lab.org")),
    (shell_safe.PrologueLine, st.sampled_from(["module load gcc/13", "export A=1"])),
    (shell_safe.Options, st.dictionaries(_words, _words | st.integers() | st.booleans() | st.none(), max_size=3)),
]


def valid(model: type[BaseModel], field: str | None = None) -> SearchStrategy[Any]:
    """Return instances of a model: with some of its fields given, and always the one named."""
    fields = {name: _of_field(info) for name, info in model.model_fields.items()}
    always = {name for name, info in model.model_fields.items() if info.is_required() or name == field}
    given = st.fixed_dictionaries(
        {name: drawn for name, drawn in fields.items() if name in always},
        optional={name: drawn for name, drawn in fields.items() if name not in always},
    )
    return given.map(lambda data: _instance(model, data)).filter(lambda found: found is not None)


def _instance(model: type[BaseModel], data: dict[str, Any]) -> BaseModel | None:
    try:
        return model.model_validate(data)
    except ValidationError:  # fields that don't go together
        return None


def _of_field(info: FieldInfo) -> SearchStrategy[Any]:
    return _of(info.annotation, info.metadata)


def _of(annotation: Any, metadata: Sequence[Any] = ()) -> SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of(arguments[0], (*arguments[1:], *metadata))
    whole = Annotated[annotation, *metadata] if metadata else annotation
    for own, strategy in _OWN:
        if whole == own:
            return strategy
    rules = [rule for item in metadata for rule in (item.metadata if isinstance(item, FieldInfo) else [item])]
    least = max((rule.min_length for rule in rules if isinstance(rule, MinLen)), default=0)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([_of(argument) for argument in arguments])
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*map(_of, arguments))
    if origin in (tuple, list):
        return st.lists(_of(arguments[0]), min_size=least, max_size=least + 2).map(origin)
    if origin is dict:
        return st.dictionaries(*map(_of, arguments), min_size=least, max_size=least + 2)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return valid(annotation)
    return _simple(annotation, rules)


def _simple(kind: type, rules: Sequence[Any]) -> SearchStrategy[Any]:
    low = next((rule.ge if isinstance(rule, Ge) else rule.gt for rule in rules if isinstance(rule, Ge | Gt)), None)
    high = next((rule.le if isinstance(rule, Le) else rule.lt for rule in rules if isinstance(rule, Le | Lt)), None)
    if kind is types.NoneType:
        return st.none()
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(low, high)
    if kind is float:
        without = {
            "exclude_min": any(isinstance(r, Gt) for r in rules),
            "exclude_max": any(isinstance(r, Lt) for r in rules),
        }
        return st.floats(low, high, **without)
    if kind is Length:
        return st.builds(Length, st.floats(1e-3, 1e6), st.sampled_from(["nm", "angstrom", "pm", "px"])).map(str)
    assert kind is str, f"no strategy for {kind}"
    return st.sampled_from(_TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
