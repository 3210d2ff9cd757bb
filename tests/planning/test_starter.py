"""The schema for editors says what the keys and the tables of analyses and clusters say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stores

from stemdask import simulate
from stemdask.analyses import registry
from stemdask.config import document as documents
from stemdask.config.clusters import cluster_kinds
from stemdask.config.keys import Config, Input, LimitsSection
from stemdask.config.meanings import meanings
from stemdask.model import Kind
from stemdask.planning import starter
from stemdask.planning.steps import steps


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
        assert set(meanings(section)) == set(section.model_fields)
        assert {name: rule["description"] for name, rule in part["properties"].items()} == meanings(section)


def test_the_schema_has_every_analysis_with_its_parameters(schema: dict[str, Any]) -> None:
    sections = schema["properties"]["analyses"]["properties"]
    assert set(sections) == {analysis.name for analysis in registry.every()}
    for analysis in registry.every():
        options = [resolved(schema, part) for part in sections[analysis.name]["anyOf"] if "$ref" in part]
        assert set(analysis.params.model_fields) in [set(option.get("properties", {})) for option in options]


def test_the_schema_has_every_kind_of_cluster(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]["cluster"]["discriminator"]["mapping"]) == set(cluster_kinds())


@pytest.fixture
def inputs(tmp_path: Path) -> dict[Kind, str]:
    np.save(tmp_path / "stack.npy", simulate.perovskite((64, 64), 12.0, seed=0)[0][None].repeat(3, axis=0))
    stores.write_particles(tmp_path / "pt.xyz", [simulate.nanocrystal(10.0)])
    return {"images": str(tmp_path / "stack.npy"), "atoms": str(tmp_path / "pt.xyz")}


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_a_starter_config_has_every_key_and_stays_valid_uncommented(
    kind: Kind, inputs: dict[Kind, str], tmp_path: Path
) -> None:
    text = starter.write([inputs[kind]])
    (tmp_path / "on.yaml").write_text(text)
    (tmp_path / "all.yaml").write_text(re.sub(r"^  # ((?:  )?[a-z_0-9]+:(?: |$))", r"  \1", text, flags=re.MULTILINE))
    on, problems = steps(documents.read(tmp_path / "on.yaml"), kind)
    assert problems == []
    usual = registry.DEFAULTS[kind] + registry.DEFAULTS_OF_A_STACK[kind]
    assert set(usual) <= {step.name for step in on}
    both = documents.read(tmp_path / "all.yaml")
    every, problems = steps(both, kind)
    assert problems == []
    assert {step.name for step in every} == set(registry.names(kind))
    for step in every:
        assert set(both.data["analyses"][step.name] or {}) == set(type(step.params).model_fields)
        assert step.params == type(step.params)()


@pytest.mark.long
@pytest.mark.processes
def test_a_starter_config_says_why(inputs: dict[Kind, str]) -> None:
    text = starter.write([inputs["images"]])
    assert "since the format is npy" in text
    assert "lengths are in px without it" in text
    assert "registration is on, since one file holds 3 frames" in text
    assert "registration is on" not in starter.write([inputs["atoms"]])
