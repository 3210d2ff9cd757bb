"""A first config for somebody's data, commented from the declarations, and the schema of every config."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stemdask.analyses import registry
from stemdask.config import keys
from stemdask.config.clusters import cluster_kinds
from stemdask.config.document import store_beside
from stemdask.config.meanings import WithMeanings, meanings
from stemdask.config.yaml_lines import dump_value
from stemdask.model import Kind, Source
from stemdask.sources import fenced
from stemdask.sources.images.source import ImageSource


def write(inputs: Sequence[str]) -> str:
    """Return a commented YAML config for the data: the usual analyses on, the others as comments with all their keys.

    What was taken from the data says why.
    """
    source = fenced.open_source(list(inputs))
    described = source.describe()
    lines = [f"# {key}: {value}" for key, value in described.items() if not isinstance(value, list)]
    lines += [f"# warning: {warning}" for warning in source.warnings]
    path: Any = inputs[0] if len(inputs) == 1 else list(inputs)
    lines += ["", "input:", f"  path: {dump_value(path)}"]
    lines += [f"  # {source.kind.capitalize()}, since the format is {described['format']}.", f"  kind: {source.kind}"]
    for name in (*_EXAMPLES[source.kind], "frames"):
        lines += [*_comment(meanings(keys.Input)[name], 2), *_found(source, name)]
        lines.append(f"  # {name}: {_EXAMPLES[source.kind].get(name, _FRAMES)}")
    lines += ["# Named after the input.", f"output: {dump_value(store_beside(inputs[0]))}", "", *_WHICH]
    usual = registry.defaults(source)
    lines += [f"# {line}" for line in _why(source, usual)] + ["analyses:"]
    for name in registry.names(source.kind):
        lines += _analysis(source.kind, name, on=name in usual)
    lines += ["", "# auto: inline for little work, else threads or processes, by what the first frames take."]
    lines += ["cluster:", f"  kind: auto    # {', '.join(cluster_kinds()[:-1])} or {cluster_kinds()[-1]}"]
    lines += ["  workers: auto", "", "# limits:"]
    for key, field in keys.LimitsSection.model_fields.items():
        text = [*_comment(meanings(keys.LimitsSection)[key], 2), f"  {key}: {dump_value(field.get_default())}"]
        lines += [f"# {line}" for line in text]
    return "\n".join(lines) + "\n"


def schema() -> str:
    """Return the JSON schema of a config, with the parameters of every analysis of both kinds."""
    whole = keys.Config.model_json_schema(schema_generator=WithMeanings)
    definitions = whole.setdefault("$defs", {})
    sections: dict[str, Any] = {}
    for analysis in registry.every():
        own = analysis.params.model_json_schema(schema_generator=WithMeanings)
        definitions |= own.pop("$defs", {})
        definitions[f"{analysis.kind}_{analysis.name}"] = own
        options = sections.setdefault(analysis.name, {"description": analysis.summary, "anyOf": [{"type": "null"}]})
        options["anyOf"].append({"$ref": f"#/$defs/{analysis.kind}_{analysis.name}"})
    whole["properties"]["analyses"] = {
        "type": "object",
        "description": whole["properties"]["analyses"].get("description", ""),
        "properties": sections,
        "additionalProperties": False,
    }
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(whole, indent=2)


_FRAMES = '"0:100"'
#: Keys of the input that a kind has, besides a range of frames, with an example.
_EXAMPLES: dict[Kind, dict[str, str]] = {
    "images": {"pixel_size": "0.0297 nm", "calibrate_from": "{a: 4.01 angstrom}", "invert": "true"},
    "atoms": {"scale": "0.3434 angstrom", "calibrate_from": "{nearest_neighbour: 2.77 angstrom}"},
}

_WHICH = (
    "# What is on here, a run without `analyses` does too; uncomment what else you want. Every value is the default.",
)


def _found(source: Source, name: str) -> list[str]:
    """Say where the pixel size is taken from unless the config gives one."""
    if name != "pixel_size" or not isinstance(source, ImageSource):
        return []
    return [
        "  # Taken from the file." if source.calibrated else "  # The file states none: lengths are in px without it."
    ]


def _why(source: Source, usual: Sequence[str]) -> list[str]:
    """Say why analyses are on that aren't always."""
    several = f"one file holds {source.n_frames} frames, which show one area as a rule"
    return [f"{name} is on, since {several}." for name in registry.DEFAULTS_OF_A_STACK[source.kind] if name in usual]


def _analysis(kind: Kind, name: str, *, on: bool) -> list[str]:
    analysis = registry.get(kind, name)
    lines = [f"# {analysis.summary}", f"{name}:" if analysis.params.model_fields else f"{name}: {{}}"]
    for key, field in analysis.params.model_fields.items():
        lines += [*_comment(meanings(analysis.params)[key], 2), f"  {key}: {default_text(field)}"]
    return [f"  {line}" if on or line.startswith("#") else f"  # {line}" for line in lines]


def default_text(field: FieldInfo) -> str:
    """Return the default of a parameter as it is written in a config."""
    return dump_value(_default(field))


def _default(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        return default.model_dump(mode="json")
    if isinstance(default, tuple):
        return list(default)
    return default if isinstance(default, str | int | float | list | dict | None) else str(default)


def _comment(meaning: str, indent: int) -> list[str]:
    return [f"{' ' * indent}# {line}" for line in textwrap.wrap(meaning, 110 - indent)]
