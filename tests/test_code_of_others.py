"""Files and configs are data: nothing in the package could run what they hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import stemdask

FILES = sorted(Path(stemdask.__file__).parent.rglob("*.py"))
#: Calls by the last part of their name that run what they are given, or what a file holds.
RUNNING = {"eval", "exec", "system", "popen", "unsafe_load", "full_load", "Unpickler", "allow_pickle"}
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def dangers(text: str) -> list[str]:
    """Return what in a text of Python could run code of others."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [name for name in names if name.partition(".")[0] in PICKLES]
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            whole = ast.unparse(node.func)
            found += [whole] if name in RUNNING or whole == "yaml.load" else []
            on = [key.arg for key in node.keywords if isinstance(key.value, ast.Constant) and key.value.value is True]
            found += [str(key) for key in on if key in ("shell", "allow_pickle")]
    return found


@pytest.mark.parametrize("text", ["subprocess.run('ls', shell=True)", "import pickle", "np.load(p, allow_pickle=True)"])
def test_what_runs_code_of_others_is_found(text: str) -> None:
    assert dangers(text)


def test_nothing_is_run_that_a_file_or_a_config_holds() -> None:
    assert len(FILES) > 200
    assert {str(path): found for path in FILES if (found := dangers(path.read_text(encoding="utf-8")))} == {}


#: What makes names that nobody can know before, in folders that others can't enter, or no names at all.
SAFE = {"TemporaryFile", "NamedTemporaryFile", "TemporaryDirectory", "mkdtemp"}


def predictable(text: str) -> list[str]:
    """Return what in a text of Python could write under a name in a temporary directory that others know before."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "tempfile" and node.attr not in SAFE:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom) and node.module == "tempfile":
            found.append("from tempfile")
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.match(r"/(tmp|var/tmp|dev/shm)\b", node.value)
        ):
            found.append(node.value)
    return found


@pytest.mark.parametrize("text", ["tempfile.mktemp()", "open('/tmp/stemdask.log', 'w')", "from tempfile import mktemp"])
def test_a_name_that_others_know_before_is_found(text: str) -> None:
    assert predictable(text)


def test_nothing_predictable_is_written_to_a_temporary_directory() -> None:
    assert {str(path): found for path in FILES if (found := predictable(path.read_text(encoding="utf-8")))} == {}
