"""What a user may write in a config, and every mistake in it said at once, each with its line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from stemdask.analyses import registry
from stemdask.config import yaml_lines
from stemdask.config.clusters import Cluster, Memory, Processes, Section
from stemdask.errors import ConfigError
from stemdask.model import Kind, Step
from stemdask.units import LengthAngstrom, LengthNm


def _frames(text: object) -> str | None:
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", str(text))
    if match is None or (match[1] and match[2] and int(match[1]) >= int(match[2])):
        raise ValueError(f"{text!r} is not a range of frames; write 'first:last+1', for example '0:100'")
    return f"{match[1]}:{match[2]}"


def _processes(cluster: object) -> object:
    return {"kind": "processes", **cluster} if isinstance(cluster, dict) else cluster


FrameRange = Annotated[str | None, BeforeValidator(_frames)]


class Calibration(Section):
    """A known length from which the pixel size is found."""

    a: LengthAngstrom
    """Lattice constant of the A sublattice."""


class Input(Section):
    """What to read."""

    path: str | list[str]
    """A file, a folder, a glob or a list of them; read in natural order."""
    kind: Kind | None = None
    """images or atoms; guessed from the suffix when absent."""
    pixel_size: LengthNm | None = None
    """Size of a pixel, only to override the file ('0.0297 nm')."""
    calibrate_from: Calibration | None = None
    """Find the pixel size from a known lattice constant instead."""
    frames: FrameRange = None
    """Subset of the frames, 'first:last+1'."""
    elements: dict[str, str] | None = None
    """Element of each word that stands for one in the files, such as {W: Pt, "1": Pt}; for structures."""


class Limits(Section):
    """What one frame may take, and when a run gives up."""

    frame_seconds: Literal["auto"] | Annotated[float, Field(gt=0, le=86_400)] = "auto"
    """Time allowed for one frame, s; auto: 20 times that of the frames tried at planning, at least 60 s."""
    frame_memory: Literal["auto"] | Memory = "auto"
    """Memory that one frame may take, such as '2 GiB'; auto: 100 times its input, at least 2 GiB."""
    max_failed: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Stop the run when more than this fraction of all frames has failed."""
    isolate: bool = True
    """Analyse frames in a helper process, so that a bad one harms only itself."""


class Config(Section):
    """A whole config."""

    input: Input
    """What to read."""
    output: str
    """The zarr store to write; made by stemdask, continued where it is there already."""
    analyses: dict[str, dict[str, Any]] | None = None
    """Analyses to run, each with its parameters; {} = defaults; absent = the usual ones of the kind."""
    cluster: Annotated[Cluster, BeforeValidator(_processes)] = Field(
        default_factory=lambda: Processes(kind="processes")
    )
    """Where the blocks are done; processes where no kind is named."""
    limits: Limits = Limits()
    """What one frame may take, and when a run gives up."""
    block_frames: Literal["auto"] | Annotated[int, Field(ge=1, le=1_000_000)] = "auto"
    """Frames in a block (a chunk of the store); auto: from the size of a frame."""


@dataclass(frozen=True, slots=True)
class Document:
    """A config as written: its keys, and where each of them stands."""

    data: dict[str, Any]
    lines: yaml_lines.Lines = field(default_factory=dict)
    name: str = "config"
    beside_defaults: bool = False
    """The analyses named here are settings laid over the usual ones, and don't replace them."""

    def problem(self, path: Sequence[str | int], what: str) -> str:
        """Return the sentence that names the key, its line and what is wrong with it."""
        keys = tuple(path)
        while keys and keys not in self.lines:
            keys = keys[:-1]
        line = f"line {self.lines[keys]}: " if keys else ""
        return f"{line}{'.'.join(map(str, path)) or self.name}: {what}"


def read(path: str | Path) -> Document:
    """Read a YAML file; raise ConfigError where it can't be read or isn't one plain mapping."""
    try:
        text = Path(path).read_bytes()[: yaml_lines.MAX_BYTES + 1].decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"the config can't be read: {error.strerror}", where=path, remedy="Write one with 'stemdask init INPUT'"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError("the config is not text", where=path, allowed="YAML in UTF-8") from None
    data, lines = yaml_lines.load(text, str(path))
    return Document(data, lines, str(path))


def beside(item: str) -> str:
    """Return the store that is written for an input where the user names none."""
    name = Path(item).name
    stem, suffix = Path(name).stem, Path(name).suffix.lower()
    stem = re.split(r"[*?\[]", stem)[0].strip("._-") or "results"
    return f"{stem}-results.zarr" if suffix == ".zarr" else f"{stem}.zarr"


def override(document: Document, settings: Sequence[str]) -> Document:
    """Return the document with settings such as ``analyses.columns.separation=12 px`` laid over it."""
    data = yaml.safe_load(yaml.safe_dump(document.data))
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError("not a setting", where="--set", value=setting, allowed="key.key=value")
        *parents, last = key.strip().split(".")
        here = data
        for parent in parents:
            here = here.setdefault(parent, {})
            if not isinstance(here, dict):
                raise ConfigError(
                    f"'{parent}' holds a value, not keys", where=f"--set {setting}", remedy="Set its value instead"
                )
        here[last] = yaml_lines.load(f"value: {value}", f"--set {setting}")[0]["value"]
    beside_defaults = document.data.get("analyses") is None
    return Document(data, document.lines, document.name, beside_defaults)


def validate(document: Document) -> tuple[Config | None, list[str]]:
    """Return the config, or None and every problem found."""
    data = dict(document.data)
    if isinstance(data.get("analyses"), dict):  # `columns:` with nothing behind it means its defaults
        data["analyses"] = {key: {} if value is None else value for key, value in data["analyses"].items()}
    try:
        return Config.model_validate(data), []
    except ValidationError as error:
        return None, _problems(error, document, (), Config)


def steps(document: Document, kind: Kind, defaults: Sequence[str] | None = None) -> tuple[tuple[Step, ...], list[str]]:
    """Return the analyses of a run in their order, needed ones added, and every problem found in their params.

    Where the document names none, `defaults` are taken; None: the usual ones of the kind.
    """
    chosen = document.data.get("analyses")
    usual: dict[str, Any] = {name: {} for name in (registry.DEFAULTS[kind] if defaults is None else defaults)}
    if chosen is None:
        chosen = usual
    elif document.beside_defaults and isinstance(chosen, dict):
        chosen = usual | chosen
    if not isinstance(chosen, dict):
        return (), []  # said by the check of the config itself
    problems: list[str] = []
    found: dict[str, Step] = {}
    for name, values in chosen.items():
        path = ("analyses", name)
        if name not in registry.names(kind):
            what = "unknown analysis" if name not in registry.names(_other(kind)) else f"not an analysis of {kind}"
            problems.append(document.problem(path, what + _nearest(name, registry.names(kind))))
            continue
        model = registry.get(kind, name).params
        try:
            found[name] = Step(name, model.model_validate({} if values is None else values))
        except ValidationError as error:
            problems.extend(_problems(error, document, path, model))
    ordered: dict[str, Step] = {}

    def add(name: str) -> None:
        if name in ordered:
            return
        for needed in registry.get(kind, name).needs:
            add(needed)
        ordered[name] = found.get(name) or Step(name, registry.get(kind, name).params())

    for name in registry.names(kind):  # the table's order, so that the config's has no effect
        if name in found:
            add(name)
    return tuple(ordered.values()), problems


def to_yaml(config: Config, steps: Sequence[Step]) -> str:
    """Write a config whole, every default in place."""
    data = config.model_dump(mode="json", exclude={"analyses"}, exclude_none=True)
    data["analyses"] = {step.name: step.params.model_dump(mode="json") for step in steps}
    order = [key for key in Config.model_fields if key in data]
    return str(yaml.safe_dump({key: data[key] for key in order}, sort_keys=False, allow_unicode=True))


def _problems(error: ValidationError, document: Document, prefix: tuple[str, ...], model: type[BaseModel]) -> list[str]:
    found: dict[tuple[str | int, ...], list[str]] = {}
    for item in error.errors(include_url=False):
        path = (*prefix, *_keys(item, document, prefix))
        if item["type"] == "extra_forbidden":
            what = "unknown key" + _nearest(str(path[-1]), _siblings(model, item["loc"][:-1]))
        elif item["type"] == "missing":
            what = "is missing"
        elif item["type"] == "union_tag_invalid":
            kinds = re.findall(r"'(\w+)'", item["ctx"]["expected_tags"])
            path, tag = (*path, "kind"), str(item["ctx"]["tag"])
            what = f"must be one of {', '.join(kinds)} (got {tag!r})" + _nearest(tag, kinds, tell=False)
        elif item["type"] == "tuple_type" and not isinstance(item["input"], list) and path in found:
            continue  # the other forms of the value have been named; a list was not meant
        else:
            what = str(item["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
            given = item.get("input")
            if not isinstance(given, Mapping | list) and str(given) not in what:
                what += f" (got {given!r})"
        found.setdefault(path, []).append(what)
    return [document.problem(path, "; or ".join(whats)) for path, whats in found.items()]


def _keys(item: Any, document: Document, prefix: tuple[str, ...]) -> list[str | int]:
    """Drop from pydantic's location the names of union members, which are no keys of the config."""
    here: Any = document.data
    for key in prefix:
        here = here.get(key) if isinstance(here, Mapping) else None
    keys: list[str | int] = []
    for key in item["loc"]:
        inside = (isinstance(here, Mapping) and key in here) or (isinstance(here, list) and isinstance(key, int))
        if inside:
            here = here[key]
            keys.append(key)
    return [*keys, item["loc"][-1]] if item["type"] == "missing" else keys


def _siblings(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the keys allowed beside the one at `location`."""
    here: Any = model
    for key in location:
        fields = getattr(here, "model_fields", {})
        if key in fields:
            here = _model_in(fields[key].annotation, fields[key].metadata)
        elif isinstance(here, tuple):
            here = next((member for member in here if str(key) in (member.__name__, _tag(member))), None)
    members = here if isinstance(here, tuple) else (here,)
    return [name for member in members for name in getattr(member, "model_fields", {})]


def _model_in(annotation: Any, metadata: Sequence[Any] = ()) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(argument) for argument in getattr(annotation, "__args__", ())]
    flat = tuple(m for one in found if one is not None for m in (one if isinstance(one, tuple) else (one,)))
    return flat if len(flat) > 1 else flat[0] if flat else None


def _tag(member: type[BaseModel]) -> str:
    kind = member.model_fields.get("kind")
    return str(getattr(kind.annotation, "__args__", ("",))[0]) if kind else ""


def _nearest(name: str, known: Sequence[str], *, tell: bool = True) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known here: {', '.join(known)}" if known and tell else ""


def _other(kind: Kind) -> Kind:
    return "atoms" if kind == "images" else "images"
