"""The schema for editors says what the keys and the tables of analyses and clusters say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stemdask.analyses import registry
from stemdask.config.clusters import cluster_kinds
from stemdask.config.keys import Config, Input, LimitsSection
from stemdask.planning import starter


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found = json.loads(starter.schema())
    assert isinstance(found, dict)
    return found


def resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return what a part refers to."""
    found = schema["$defs"][part["$ref"].removeprefix("#/$defs/")]
    assert isinstance(found, dict)
    return found


def test_the_schema_has_every_key_and_no_other(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]) == set(Config.model_fields)
    for key, section in (("input", Input), ("limits", LimitsSection)):
        part = resolved(schema, schema["properties"][key])
        assert {name: rule["description"] for name, rule in part["properties"].items()} == {
            name: field.description for name, field in section.model_fields.items()
        }


def test_the_schema_has_every_analysis_with_its_parameters(schema: dict[str, Any]) -> None:
    sections = schema["properties"]["analyses"]["properties"]
    assert set(sections) == {analysis.name for analysis in registry.every()}
    for analysis in registry.every():
        options = [resolved(schema, part) for part in sections[analysis.name]["anyOf"] if "$ref" in part]
        assert set(analysis.params.model_fields) in [set(option.get("properties", {})) for option in options]


def test_the_schema_has_every_kind_of_cluster(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]["cluster"]["discriminator"]["mapping"]) == set(cluster_kinds())
