"""The house: imports run one way, heavy packages stay in their rooms, and the command line starts fast."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stemdask

ROOT = Path(stemdask.__file__).parent

# Floor of each room; a room may import only rooms below its own floor, or files of the same room.
FLOORS = [
    {"kernels", "errors", "units", "_version"},
    {"model"},
    {"adapters", "simulate"},
    {"sources"},
    {"analyses"},
    {"store"},
    {"config"},
    {"results"},
    {"planning"},
    {"export"},
    {"engine"},
    {"figures"},
    {"report"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
HOMES = {
    "distributed": {"engine/workers/", "engine/queues/"},
    "dask_jobqueue": {"engine/queues/jobqueue.py"},
    "atomap": {"adapters/"},
    "hyperspy": {"adapters/"},
    "boo": {"adapters/"},
}


def _files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            module = node.module or ""
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def _room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "stemdask" and len(parts) > 1 and parts[1] in FLOOR else None


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards_only(path: Path) -> None:
    relative = path.relative_to(ROOT)
    if relative == Path("__init__.py"):
        return
    own = relative.parts[0].removesuffix(".py")
    assert own in FLOOR, f"{own} has no floor: add it to FLOORS"
    for module, line in _imports(path):
        other = _room(module)
        if other is None or other == own:
            continue
        assert FLOOR[other] < FLOOR[own], f"{relative}:{line} imports {module}, which is not below it"
        assert own != "kernels" or other == "kernels", f"{relative}:{line}: a kernel imports nothing of stemdask"


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_stay_in_their_rooms(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    for module, line in _imports(path):
        homes = HOMES.get(module.split(".")[0])
        assert homes is None or any(relative.startswith(home) for home in homes), f"{relative}:{line}: {module}"


def test_files_import_each_other_in_no_circle() -> None:
    names = {".".join(("stemdask", *path.relative_to(ROOT).with_suffix("").parts)): path for path in _files()}
    graph = {name: {m for m, _ in _imports(path) if m in names and m != name} for name, path in names.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"a circle: {' -> '.join((*trail, name))}"
        if name in done:
            return
        for other in sorted(graph[name]):
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("arguments", [["-c", "import stemdask"], ["-m", "stemdask", "--help"]], ids=["import", "help"])
def test_starting_takes_less_than_a_second_of_cpu(arguments: list[str]) -> None:
    spent = []
    for _ in range(3):  # the least of them: the first one of all may read the files from the disk
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        spent.append(usage.ru_utime + usage.ru_stime)
    assert min(spent) < 1.0
