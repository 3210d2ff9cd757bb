"""Variables are read by the names of the analyses that declare them, so that a renamed one breaks at import."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import stemdask
from stemdask.analyses import registry
from stemdask.analyses.chain import outputs
from stemdask.model import Step

ROOT = Path(stemdask.__file__).parent
FILES = sorted([*(ROOT / "analyses").rglob("*.py"), *(ROOT / "figures").rglob("*.py")])
KINDS = ("images", "atoms")
STEPS = {kind: [Step(a.name, a.params()) for a in registry.of_kind(kind)] for kind in KINDS}
GROUPS = {v.group for kind in KINDS for own in outputs(kind, STEPS[kind]) for v in own} - {"frames"}
#: What makes a variable in the files of analyses, given its path.
MAKERS = ("Variable", "_cell", "_late", "_of_domain")
PATH = re.compile(rf"({'|'.join(sorted(GROUPS))})/[a-z0-9_{{}}]+")


def paths_read(text: str) -> list[str]:
    """Return the texts of a program that spell the path of a variable other than where one is declared."""
    tree = ast.parse(text)
    declared = {id(inner) for call in ast.walk(tree) if _declares(call) for inner in ast.walk(call)}
    named = {id(inner) for node in ast.walk(tree) if _names_an_error(node) for inner in ast.walk(node)}
    return [
        found
        for node in ast.walk(tree)
        if id(node) not in declared | named and (found := _spelt(node)) is not None and PATH.fullmatch(found)
    ]


def _declares(node: ast.AST) -> bool:
    """Tell whether something makes variables: a call, or a function that makes them by their names."""
    if isinstance(node, ast.FunctionDef):
        return any(_declares(inner) for inner in ast.walk(node) if isinstance(inner, ast.Call))
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS


def _names_an_error(node: ast.AST) -> bool:
    """Tell whether a text only says in an error which result is meant."""
    return isinstance(node, ast.Raise)


def _spelt(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_variable_is_read_by_a_path_that_is_typed_again(path: Path) -> None:
    assert paths_read(path.read_text()) == []


def test_a_path_that_is_typed_again_is_found() -> None:
    assert paths_read('x = frame.results["columns/y"]') == ["columns/y"]
    assert paths_read('x = stack.read(f"displacement/{name}")') == ["displacement/{}"]
    assert paths_read('Y = Variable("columns/y", (), "int8", "1", "a")') == []
