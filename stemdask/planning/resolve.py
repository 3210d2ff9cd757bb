"""A config against its input: what will be done, before any frame is analysed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemdask.analyses import registry
from stemdask.config import profiles, site
from stemdask.config.clusters import Batch
from stemdask.config.document import Document
from stemdask.config.keys import Config, to_yaml
from stemdask.config.problems import validate
from stemdask.config.yaml_lines import dump
from stemdask.errors import ConfigError, InputError
from stemdask.model import Kind, Source, Step
from stemdask.planning import calibration, fingerprints, looks
from stemdask.planning.looks import Looks
from stemdask.planning.steps import steps as steps_of
from stemdask.planning.trial import allowed
from stemdask.sources import fenced, opening
from stemdask.sources.atoms.source import AtomsSource
from stemdask.sources.images.source import ImageSource


@dataclass(frozen=True, slots=True)
class Resolved:
    """A config against its input."""

    source: Source
    steps: tuple[Step, ...]
    config: Config
    text: str
    """The resolved config as YAML."""
    written: str
    """What the user wrote, as YAML."""
    fingerprint: str
    analysis_hashes: Mapping[str, str]
    """Of each analysis and all that it reads."""
    looks: Looks
    """What looks at the frames told, for the next run of the store."""


def resolve(document: Document, *, fresh: bool = False) -> Resolved:
    """Check a config against its input.

    Parameters
    ----------
    document
        The config as written.
    fresh
        Trust nothing that an earlier run of the same store found.

    Raises
    ------
    ConfigError
        With every problem found, each with its line.
    InputError
        Where only the input fails.
    """
    written = dump(json.loads(json.dumps(document.data, default=str)))  # plain, where a script gave it
    document = profiles.lay_under(document)
    config, problems = validate(document)
    guessed = _guessed(document)
    # Before the input is opened: a fence that is a fork has then imported these analyses, too.
    steps, more = steps_of(document, guessed) if guessed is not None else ((), [])
    source, failure = _open(config, document)
    if source is not None:
        steps, more = steps_of(document, source.kind, registry.defaults(source))
    problems += more
    if config is not None:
        problems += _contradictions(document, config, steps)
    if source is not None and not steps and not problems:
        problems = [document.problem(("analyses",), "is not the name of an analysis")]
    if problems:
        problems += [document.problem(("input", "path"), str(failure))] if failure is not None else []
        raise ConfigError(_count(problems), where=document.name, problems=problems)
    if config is None or source is None:
        raise failure or InputError("the input can't be read", where=document.name)
    if isinstance(config.cluster, Batch):
        config = config.model_copy(update={"cluster": site.filled(config.cluster)})
    looked = Looks() if fresh else looks.beside(config.output)
    known: dict[str, Any] = {"kind": source.kind}
    if isinstance(source, ImageSource):
        known["invert"], steps = _contrast(source, config, steps, looked)
    length = config.input.calibrate_from
    if length is not None:
        known |= calibration.found(source, length, steps, looked) | {"calibrate_from": None}
    config = config.model_copy(update={"input": config.input.model_copy(update=known)})
    if length is not None:
        source = _open(config, document)[0] or source
    hashes = fingerprints.of(source, steps, config)
    return Resolved(source, steps, config, to_yaml(config, steps), written, *hashes, looked)


def open_input(document: Document) -> ImageSource | AtomsSource:
    """Open the input of a config alone, read as it says.

    Raises
    ------
    ConfigError
        With every problem of the keys.
    InputError
        The input can't be read.
    """
    config, problems = validate(document)
    if config is None:
        raise ConfigError(_count(problems), where=document.name, problems=problems)
    source, failure = _open(config, document)
    if source is None:
        raise failure or InputError("the input can't be read", where=document.name)
    return source


def _contrast(
    source: ImageSource, config: Config, steps: tuple[Step, ...], looked: Looks
) -> tuple[bool, tuple[Step, ...]]:
    """Return whether columns are dark, as the config says or else the images, and the steps that follow from it."""
    from stemdask.planning import polarity  # what looks at images isn't loaded for structures

    dark = next((said for said in (config.input.invert, polarity.written(steps)) if isinstance(said, bool)), None)
    if dark is None:
        looks_for_columns = any(step.name == "columns" for step in steps)
        dark = looks_for_columns and polarity.columns_are_dark(source, steps, looked, *allowed(config.limits))
    return dark, polarity.inverted(steps, dark)


def _contradictions(document: Document, config: Config, steps: Sequence[Step]) -> list[str]:
    said = config.input.invert
    if said == "auto":
        return []
    from stemdask.planning import polarity

    other = polarity.written(steps)
    if other is None or said == other:
        return []
    return [document.problem(("analyses", "preprocess", "invert"), f"input.invert says {str(said).lower()}; keep one")]


def _open(config: Config | None, document: Document) -> tuple[ImageSource | AtomsSource | None, InputError | None]:
    if config is None:
        paths = _input(document).get("path")
        options: dict[str, Any] = {}
    else:
        paths = config.input.path
        options = config.input.model_dump(exclude={"path", "calibrate_from", "invert"})
    if not isinstance(paths, str | list):
        return None, None
    try:
        return fenced.open_source(paths, **options, memory=_memory(config)), None
    except InputError as error:
        return None, error


def _memory(config: Config | None) -> int:
    """Return the bytes that opening may take: as much as a frame, where more is allowed to one than usual."""
    asked = "auto" if config is None else config.limits.frame_memory
    return fenced.OPENING_MEMORY if asked == "auto" else max(fenced.OPENING_MEMORY, asked)


def _guessed(document: Document) -> Kind | None:
    kind = _input(document).get("kind")
    return kind if kind in ("images", "atoms") else opening.guess_kind(_input(document).get("path"))


def _input(document: Document) -> dict[str, Any]:
    section = document.data.get("input")
    return section if isinstance(section, dict) else {}


def _count(problems: Sequence[str]) -> str:
    return f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
