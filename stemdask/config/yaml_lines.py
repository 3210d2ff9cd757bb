"""YAML of a config: read strictly and with the line of every key, and written so that it reads back the same."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import yaml

from stemdask.errors import ConfigError

Lines: TypeAlias = dict[tuple[str | int, ...], int]

MAX_BYTES = 1_000_000
MAX_DEPTH = 32


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain scalars: `no` is text, `12:30:45` is text, `010` is ten, `1e3` is a number."""


# A copy, so that yaml.SafeLoader itself keeps its own rules.
_Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)), 10)


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)


class _Dumper(yaml.SafeDumper):
    """Quotes text that either YAML 1.1 or the loader here would take for something else, such as `no` or `1e3`."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value out wherever it stands, since the loader refuses aliases."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Escape what doesn't print; in other quotes, some of it would be taken for the end of a line."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _text)
_Dumper.yaml_implicit_resolvers = {
    first: yaml.SafeDumper.yaml_implicit_resolvers.get(first, []) + _Loader.yaml_implicit_resolvers.get(first, [])
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
}


def dump(data: Any) -> str:
    """Write keys, each on its own line."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def dump_value(value: Any) -> str:
    """Write a value as it stands behind a key, in one line."""
    text = str(yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=1000))
    return text.removesuffix("\n").removesuffix("\n...")


def load(text: str, name: str) -> tuple[dict[str, Any], Lines]:
    """Read one YAML mapping; return it with the line (from 1) of every key and item, by its path.

    Raises
    ------
    ConfigError
        If the text isn't one plain mapping: a syntax error, an alias, a tag, a key twice, too large or too deep.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError("the config is too large", where=name, value=f"{len(text)} bytes", allowed="1 MB")
    try:
        _check_events(text, name)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise ConfigError("the config is empty", where=name, remedy="Write one with 'stemdask init INPUT'")
            if not isinstance(node, yaml.MappingNode):
                raise ConfigError("a config is a mapping of keys, such as 'input:'", where=_at(name, node.start_mark))
            lines: Lines = {}
            _walk(node, (), lines, name)
            return loader.construct_document(node), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(
            f"not valid YAML: {what}", where=_at(name, error.problem_mark or error.context_mark)
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=name) from None


def _check_events(text: str, name: str) -> None:
    """Refuse what can blow up, before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            where = _at(name, event.start_mark)
            raise ConfigError("a config can't hold anchors and aliases", where=where, remedy="Write the values out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            where = _at(name, event.start_mark)
            raise ConfigError("the config is nested too deeply", where=where, allowed=f"{MAX_DEPTH} levels")


def _walk(node: yaml.Node, path: tuple[str | int, ...], lines: Lines, name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            if here in lines:
                raise ConfigError(f"the key '{key.value}' occurs twice", where=_at(name, key.start_mark))
            lines[here] = key.start_mark.line + 1
            _walk(value, here, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*path, index] = item.start_mark.line + 1
            _walk(item, (*path, index), lines, name)


def _at(name: str, mark: Any) -> str:
    return f"{name}, line {mark.line + 1}" if mark is not None else name
