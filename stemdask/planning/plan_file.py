"""A plan as a file, through which a driver tells its workers what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stemdask.analyses import registry
from stemdask.errors import StemdaskError
from stemdask.model import Limits, Plan, Source, Step
from stemdask.sources import opening
from stemdask.store.disk import write_file


def pack(source: Source, steps: Sequence[Step]) -> dict[str, Any]:
    """Return what is to be done with which frames, JSON-able."""
    return {
        "source": {"kind": source.kind, **source.model_dump(mode="json")},  # type: ignore[attr-defined]
        "steps": {step.name: step.params.model_dump(mode="json") for step in steps},
    }


def unpack(data: Mapping[str, Any]) -> tuple[Source, tuple[Step, ...]]:
    """Return what `pack` wrote; raise ValueError or KeyError where it isn't of this version."""
    source = opening.source_from(data["source"])
    models = {name: registry.get(source.kind, name).params for name in data["steps"]}
    return source, tuple(Step(name, models[name].model_validate(given)) for name, given in data["steps"].items())


def save(plan: Plan, path: Path) -> None:
    """Write a plan as JSON; the file is there whole or not at all."""
    data = {
        **pack(plan.source, plan.steps),
        "sizes": dict(plan.sizes),
        "block_frames": plan.block_frames,
        "store": plan.store,
        "limits": {name: getattr(plan.limits, name) for name in Limits.__slots__},
        "fingerprint": plan.fingerprint,
        "config": plan.config,
        "config_as_written": plan.config_as_written,
        "calibrated": plan.calibrated,
        "analysis_hashes": dict(plan.analysis_hashes),
        "frame_seconds": plan.frame_seconds,
    }
    write_file(path, json.dumps(data))


def load(path: Path) -> Plan:
    """Read a plan back; raise StemdaskError where it isn't one of this version."""
    try:
        data = json.loads(path.read_text())
        source, steps = unpack({key: data.pop(key) for key in ("source", "steps")})
        return Plan(source=source, steps=steps, limits=Limits(**data.pop("limits")), **data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StemdaskError(f"the plan can't be read: {error}", where=path, remedy="Run again with --fresh") from error
