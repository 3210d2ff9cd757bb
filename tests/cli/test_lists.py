"""Lists that a person reads are those of the tables: verbs, kinds of clusters, formats of exports, analyses."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from stemdask.analyses import registry
from stemdask.cli.main import app
from stemdask.config.clusters import cluster_kinds
from stemdask.export import EXPORTS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def help_of(verb: str, option: str) -> str:
    (parameter,) = (p for p in VERBS[verb].params if option in p.opts)
    return str(parameter.help)


def listed(text: str) -> list[str]:
    """Return the words of "a, b or c"."""
    return re.findall(r"[a-z0-9]+", text.replace(" or ", " ").lower())


def test_help_names_every_kind_of_cluster() -> None:
    assert listed(help_of("run", "--cluster")) == list(cluster_kinds())


def test_help_names_every_format_of_an_export() -> None:
    assert listed(help_of("export", "--format")) == list(EXPORTS)


def test_the_readme_has_every_verb_and_no_other() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `")]
    named = {verb for row in rows for verb in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(VERBS)


def test_the_readme_names_every_kind_of_cluster() -> None:
    assert [kind for kind in cluster_kinds() if not re.search(rf"\b{kind}\b", README)] == []


def test_the_readme_has_every_format_of_an_export() -> None:
    (row,) = (line for line in README.splitlines() if line.startswith("| `report` `export`"))
    assert all(re.search(rf"\b{name}\b", row, re.IGNORECASE) for name in EXPORTS)


def test_the_page_of_analyses_has_every_analysis() -> None:
    page = (ROOT / "docs" / "analyses.md").read_text()
    assert all(re.search(rf"\b{analysis.name}\b", page) for analysis in registry.every())
