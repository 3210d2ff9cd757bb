from __future__ import annotations

import ast
import json
import re
import runpy
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import stemdask
from stemdask.analyses import registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", ["analyses.md", "config.md", "cli.md"])
def test_a_page_of_reference_is_what_the_declarations_say(page: str) -> None:
    text = runpy.run_path(str(DOCS / "make_reference.py"))["PAGES"][page]
    assert (DOCS / page).read_text(encoding="utf-8") == text(), "run: python docs/make_reference.py"


def test_the_page_of_functions_is_what_their_docstrings_say() -> None:
    functions = runpy.run_path(str(DOCS / "make_reference.py"))["functions"]
    assert (DOCS / "functions.md").read_text(encoding="utf-8") == functions(), "run: python docs/make_reference.py"


def test_the_page_of_reliability_is_what_its_rows_and_the_tests_say() -> None:
    made = runpy.run_path(str(DOCS / "make_reliability.py"))
    homes = made["homes"]()
    rows = [row for table in made["rows"]().values() for row in table]
    assert {name for row in rows if isinstance(row[3], list) for name in row[3]} <= homes.keys(), "tests that aren't"
    figures = json.loads((DOCS / "reliability.json").read_text(encoding="utf-8"))
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    assert page == made["text"](figures), "run: python docs/make_reliability.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", [*PAGES, *sorted(DOCS.rglob("gallery/*.py"))], ids=lambda page: page.name)
def test_keys_of_analyses_in_the_text_are_valid(page: Path) -> None:
    for name, keys in re.findall(r"`(\w+): (\{(?:(?!\.\.\.)[^`])*\})`", page.read_text(encoding="utf-8")):
        of_name = [analysis for analysis in registry.every() if analysis.name == name]
        written = yaml.safe_load(keys)
        for analysis in of_name:
            try:
                analysis.params.model_validate(written)
            except ValidationError as error:
                pytest.fail(f"{page.name}: {name}: {keys}: {error}")


def test_messages_of_the_faq_are_those_of_the_program() -> None:
    said = "\n".join(
        " ".join(node.value.split())
        for path in sorted((ROOT / "stemdask").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    messages = re.findall(r"^\| `([^`]* [^`]*)` \|", (DOCS / "faq.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(messages) > 10
    for part in (part.strip() for message in messages for part in message.split("…")):
        assert part in said, f"no message says {part!r}"


def test_contributing_names_files_and_folders_that_exist() -> None:
    named = re.findall(r"`((?:[\w.]+/)+[\w.<>]*)`", CONTRIBUTING)
    assert len(named) > 10
    for name in named:
        for half in ("images", "atoms"):
            path = ROOT / name.replace("<half>", half).partition("<")[0].removesuffix("x.py")
            assert path.exists(), f"CONTRIBUTING.md names {name}"


@pytest.mark.parametrize(
    ("record", "table"),
    [
        ("SHOWS", "figures/images/columns.py"),
        ("ANALYSIS", "analyses/registry.py"),
        ("FORMAT", "sources/formats.py"),
        ("EXPORT", "export/__init__.py"),
        ("QUEUE", "engine/queues/slurm.py"),
    ],
)
def test_contributing_names_the_records_that_are_looked_for(record: str, table: str) -> None:
    assert re.search(rf"`{record}\b", CONTRIBUTING)
    assert re.search(rf"\b{record}\b", (ROOT / "stemdask" / table).read_text(encoding="utf-8"))


def test_contributing_names_the_sessions_that_nox_has() -> None:
    sessions = set(re.findall(r"@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(encoding="utf-8")))
    named = {
        name for line in re.findall(r"^nox -s ([a-z ]+?)(?:  |$)", CONTRIBUTING, re.MULTILINE) for name in line.split()
    }
    assert named <= sessions
    assert sessions - named <= {"quick", "lowest"}


def test_the_citation_is_of_this_version() -> None:
    [version] = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert version == stemdask.__version__
