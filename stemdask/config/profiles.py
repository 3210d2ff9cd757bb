"""Clusters that a user, or a site, describes once under a name, so that configs are portable between machines."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stemdask.config import yaml_lines
from stemdask.config.document import Document
from stemdask.errors import ConfigError

#: Keys that hold lists, to which a config adds.
_LISTS = ("job_extra_directives", "prologue")


def files() -> list[Path]:
    """Return where profiles may be: the user's file, which takes precedence, then those of the site."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    site = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return [Path(folder).expanduser() / "stemdask" / "profiles.yaml" for folder in (home, *site.split(":")) if folder]


def known() -> dict[str, dict[str, Any]]:
    """Return all profiles by name; raise ConfigError if a file of them can't be read."""
    found: dict[str, dict[str, Any]] = {}
    for path, data in _read():
        for name, section in data.items():
            if not isinstance(section, dict) or "kind" not in section:
                raise ConfigError("a profile needs at least the kind of its cluster", where=path, value=name)
            found.setdefault(name, section)
    return found


def lay_under(document: Document) -> Document:
    """Return a document whose cluster has the keys of the profile that it names, under its own.

    The lines of a profile's prologue are the user's own and are not restricted; those of a config are.
    """
    section = document.data.get("cluster")
    if not isinstance(section, dict) or "profile" not in section:
        return document
    name = section["profile"]
    profiles = known()
    if name not in profiles:
        raise ConfigError(
            "there is no profile of this name",
            where="cluster.profile",
            value=name,
            allowed=", ".join(sorted(profiles)) or "no profile exists yet",
            remedy=f"Describe it in {files()[0]}; 'stemdask doctor --cluster' proposes one",
        )
    profile = profiles[name]
    merged = profile | section
    for key in _LISTS:
        if isinstance(profile.get(key), list) and isinstance(section.get(key), list):
            merged[key] = [*profile[key], *section[key]]
    own = frozenset(map(str, [*(profile.get("prologue") or ()), profile.get("on_end")]))
    return dataclasses.replace(document, data=document.data | {"cluster": merged}, own_lines=own)


def _read() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in files():
        try:
            text = path.read_text()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("the profiles can't be read", where=path, value=str(error)) from None
        yield path, yaml_lines.load(text, str(path))[0]
