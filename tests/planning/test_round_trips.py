"""What a user chose is what a worker gets, through the file of a plan, and what a resolved config says again."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel
from strategies import valid

from stemdask import simulate
from stemdask.analyses import registry
from stemdask.config import yaml_lines
from stemdask.config.document import Document
from stemdask.config.keys import Config, Input, LimitsSection, to_yaml
from stemdask.config.problems import validate
from stemdask.model import Kind, Limits, Plan, Source, Step
from stemdask.planning import plan_file
from stemdask.planning.steps import steps
from stemdask.sources.opening import open_source

FIELDS = [
    pytest.param(analysis.kind, analysis.name, field, id=f"{analysis.name}.{field}")
    for analysis in registry.every()
    for field in analysis.params.model_fields
]
SECTIONS = {
    "input": (Input,),
    "limits": (LimitsSection,),
    "cluster": get_args(Config.model_fields["cluster"].annotation),
}
KEYS = [
    pytest.param(key, section, field, id=f"{section.__name__}.{field}")
    for key, sections in SECTIONS.items()
    for section in sections
    for field in section.model_fields
]
LIMITS = Limits(seconds=60.0, memory=2**31, isolate=True, max_failed=0.5)
#: Few examples of each field are many of each model; fields that go together with few others alone are drawn again.
often = settings(
    max_examples=6, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def sources(folder: Path) -> dict[Kind, Source]:
    np.save(folder / "image.npy", np.ones((8, 8), np.float32))
    positions = simulate.nanocrystal(8.0).positions
    rows = "".join(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in positions)
    (folder / "particle.xyz").write_text(f"{len(positions)}\n\n{rows}")
    return {"images": open_source(folder / "image.npy"), "atoms": open_source(folder / "particle.xyz")}


def read_back(config: Config, step: Step | None = None) -> Document:
    text = to_yaml(config, [step] if step else [])
    return Document(*yaml_lines.load(text, "resolved"), name="resolved")


@pytest.mark.parametrize(("kind", "name", "field"), FIELDS)
def test_every_parameter_goes_through_the_file_of_a_plan_and_a_resolved_config(
    kind: Kind, name: str, field: str, folder: Path, sources: dict[Kind, Source]
) -> None:
    config = Config(input=Input(path="frames"), output="o.zarr")

    @often
    @given(valid(registry.get(kind, name).params, field).map(lambda params: Step(name, params)))
    def there_and_back(step: Step) -> None:
        plan = Plan(sources[kind], (step,), {}, 1, "o.zarr", LIMITS, "", "")
        plan_file.save(plan, folder / "plan.json")
        assert plan_file.load(folder / "plan.json") == plan
        found, problems = steps(read_back(config, step), kind)
        assert problems == []
        assert [again for again in found if again.name == name] == [step]

    there_and_back()


@pytest.mark.parametrize(("key", "section", "field"), KEYS)
def test_every_key_is_read_back_from_a_resolved_config(key: str, section: type[BaseModel], field: str) -> None:
    @often
    @given(valid(section, field))
    def there_and_back(found: BaseModel) -> None:
        config = Config(**{"input": Input(path="frames"), "output": "o.zarr", key: found})
        again, problems = validate(read_back(config))
        assert problems == []
        assert again is not None
        assert again.model_copy(update={"analyses": None}) == config

    there_and_back()
