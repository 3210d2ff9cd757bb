"""A config as the user wrote it: read from a file or made from inputs alone, with settings overridden."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemdask.config import yaml_lines
from stemdask.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Document:
    """A config as written: its keys, and the line of each."""

    data: dict[str, Any]
    lines: yaml_lines.Lines = field(default_factory=dict)
    name: str = "config"
    beside_defaults: bool = False
    """The analyses named here override settings of the default ones, and don't replace them."""
    own_lines: frozenset[str] = frozenset()
    """Lines of a prologue from the user's own file, which may contain what a config's may not."""

    def problem(self, path: Sequence[str | int], what: str) -> str:
        """Return the sentence that names the key, its line and what is wrong with it."""
        keys = tuple(path)
        while keys and keys not in self.lines:
            keys = keys[:-1]
        line = f"line {self.lines[keys]}: " if keys else ""
        return f"{line}{'.'.join(map(str, path)) or self.name}: {what}"


def read(path: str | Path) -> Document:
    """Read a YAML file; raise ConfigError if it can't be read or isn't one plain mapping."""
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


def of_inputs(paths: Sequence[str]) -> Document:
    """Return the default config for inputs."""
    return Document({"input": {"path": list(paths)}, "output": store_beside(paths[0])}, name="command line")


def store_beside(item: str) -> str:
    """Return the store that is written for an input if the user names none."""
    name = Path(item).name
    stem, suffix = Path(name).stem, Path(name).suffix.lower()
    stem = re.split(r"[*?\[]", stem)[0].strip("._-") or "results"
    return f"{stem}-results.zarr" if suffix == ".zarr" else f"{stem}.zarr"


def override(document: Document, settings: Sequence[str]) -> Document:
    """Return the document with settings such as ``analyses.columns.separation=12 px`` overridden."""
    data = deepcopy(document.data)
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
    return dataclasses.replace(document, data=data, beside_defaults=beside_defaults)
