"""A plan as a file, through which a driver tells its workers what to do."""

from __future__ import annotations

import json
from pathlib import Path

from stemdask.analyses import registry
from stemdask.errors import StemdaskError
from stemdask.model import Limits, Plan, Step
from stemdask.sources import opening


def save(plan: Plan, path: Path) -> None:
    """Write a plan as JSON."""
    data = {
        "source": {"kind": plan.source.kind, **plan.source.model_dump(mode="json")},  # type: ignore[attr-defined]
        "steps": {step.name: step.params.model_dump(mode="json") for step in plan.steps},
        "sizes": dict(plan.sizes),
        "block_frames": plan.block_frames,
        "store": plan.store,
        "limits": {name: getattr(plan.limits, name) for name in Limits.__slots__},
        "fingerprint": plan.fingerprint,
        "config": plan.config,
        "calibrated": plan.calibrated,
    }
    path.write_text(json.dumps(data))


def load(path: Path) -> Plan:
    """Read a plan back; raise StemdaskError where it isn't one of this version."""
    try:
        data = json.loads(path.read_text())
        source = opening.source_from(data.pop("source"))
        steps = tuple(
            Step(name, registry.get(source.kind, name).params.model_validate(params))
            for name, params in data.pop("steps").items()
        )
        return Plan(source=source, steps=steps, limits=Limits(**data.pop("limits")), **data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StemdaskError(f"the plan can't be read: {error}", where=path, remedy="Run again with --fresh") from error
