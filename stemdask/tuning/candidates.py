"""What is tried: the config as it is, and each parameter that matters with its other values, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from stemdask.analyses import registry
from stemdask.config.document import Document, override
from stemdask.config.yaml_lines import dump_value
from stemdask.errors import ConfigError
from stemdask.model import Kind, Step
from stemdask.planning.steps import steps as steps_of

#: Parameters with a list of values: all others than the configured one are tried.
_CHOICES: dict[Kind, tuple[tuple[str, str], ...]] = {
    "images": (
        ("columns", "refinement"),
        ("columns", "shape"),
        ("columns", "widths"),
        ("columns", "background"),
        ("displacement", "reference"),
    ),
    "atoms": (("bond_order", "neighbours"),),
}
#: Numbers that are tried beside the configured one.
_NUMBERS: dict[Kind, dict[tuple[str, str], tuple[float, ...]]] = {
    "images": {},
    "atoms": {
        ("bond_order", "threshold"): (0.5, 0.6, 0.7, 0.8, 0.9),
        ("bond_order", "min_fraction"): (0.4, 0.5, 0.6, 0.7),
    },
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to analyse the frames."""

    keys: Mapping[str, Any]
    """What differs from the config, as ``columns.shape``: value as written; nothing for the config itself."""
    steps: tuple[Step, ...]
    """The analyses, with their parameters."""

    @property
    def name(self) -> str:
        """What differs, in words."""
        return ", ".join(f"{key}: {shown(value)}" for key, value in self.keys.items()) or "as configured"


def shown(value: Any) -> str:
    """Write a value as it stands in a config."""
    return dump_value(value)


def of(document: Document, kind: Kind, defaults: Sequence[str], keys: Mapping[str, Any]) -> Candidate:
    """Return the candidate with some keys of the analyses in place of the config's.

    Raises
    ------
    ConfigError
        The config can't have these together.
    """
    changed = override(document, [f"analyses.{key}={dump_value(value)}" for key, value in keys.items()])
    steps, problems = steps_of(replace(changed, beside_defaults=document.data.get("analyses") is None), kind, defaults)
    if problems:
        raise ConfigError("these values can't be combined", where=document.name, problems=problems)
    return Candidate(keys, steps)


def alternatives(kind: Kind, steps: Sequence[Step]) -> Iterator[tuple[str, Any]]:
    """Yield each key that is tried with each value that the config doesn't have already."""
    params = {step.name: step.params for step in steps}
    for name, key in _CHOICES[kind]:
        if name in params:
            for value in get_args(registry.get(kind, name).params.model_fields[key].annotation):
                if value != getattr(params[name], key):
                    yield f"{name}.{key}", value
    for (name, key), values in _NUMBERS[kind].items():
        if name in params:
            for number in values:
                if number != getattr(params[name], key):
                    yield f"{name}.{key}", number
