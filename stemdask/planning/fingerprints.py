"""Hashes by which a store tells whether it holds what a config means, and which of its analyses do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from stemdask._version import __version__
from stemdask.analyses import registry
from stemdask.config.keys import Config
from stemdask.model import Source, Step


def of(source: Source, steps: Sequence[Step], config: Config) -> tuple[str, dict[str, str]]:
    """Return the hash of a whole run, and of each of its analyses with all that it reads.

    Parameters
    ----------
    source
        The input, which is part of every hash.
    steps
        In their order.
    config
        Whose other keys that change results count, too.
    """
    frames: dict[str, Any] = {
        "version": __version__,
        "input": source.identity(),
        # Which way the contrast is, the steps say.
        "options": config.input.model_dump(mode="json", exclude={"path", "invert"}),
        "block_frames": config.block_frames,
    }
    parameters = {step.name: step.params.model_dump(mode="json") for step in steps}
    of_each: dict[str, str] = {}
    shared = _hash(frames)
    for step in steps:
        analysis = registry.get(source.kind, step.name)
        reads_all = analysis.derives or analysis.repeats
        read = [name for name in of_each if reads_all or name in (*analysis.needs, *analysis.after)]
        described = [shared, step.name, parameters[step.name], [of_each[name] for name in read]]
        of_each[step.name] = _hash(described)
    return _hash(frames | {"steps": parameters}), of_each


def _hash(described: Mapping[str, Any] | Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()
