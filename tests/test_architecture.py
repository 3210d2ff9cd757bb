"""The house: imports run one way, heavy packages stay in their rooms, and the command line starts with little."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import stemdask

ROOT = Path(stemdask.__file__).parent

# Floor of each room; a room may import only rooms below its own floor, or files of the same room.
FLOORS = [
    {"errors", "units", "_version"},
    {"kernels"},
    {"model"},
    {"fence"},
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
    {"tuning", "view"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MOST_FILES_AT_THE_TOP = 6

# What a package may be imported in, as the beginning of a path.
HOMES = {
    "atomap": ("adapters/",),
    "bokeh": ("view/",),
    "boo": ("adapters/",),
    "hyperspy": ("adapters/",),
    "dask_jobqueue": ("engine/queues/jobqueue.py",),
    "distributed": ("engine/workers/", "engine/queues/"),
    "h5py": ("sources/",),
    "jinja2": ("report/",),
    "numba": ("kernels/compiled.py",),
    "panel": ("view/",),
    "typer": ("cli/",),
}
# What a start of the command line must not wait for.
HEAVY = ("ase", "dask", "distributed", "hyperspy", "matplotlib", "numba", "numpy", "pandas", "pydantic", "rsciio")
HEAVY += ("scipy", "skimage", "sklearn", "xarray", "zarr")


class Import(NamedTuple):
    """One import of a file, wherever in it, for types alone or by its name too."""

    line: int
    module: str
    names: tuple[str, ...] = ()

    def modules(self) -> list[str]:
        """Return what may have been imported: the module, and each name as if it were one below it."""
        return [self.module, *(f"{self.module}.{name}" for name in self.names)]

    def room(self) -> set[str]:
        """Return the rooms of stemdask that are meant; a name of the package itself is its ``__init__``."""
        top, *below = self.module.split(".")
        if top != "stemdask":
            return set()
        found = below[:1] or self.names or ("__init__",)
        return {room if room in FLOOR else "__init__" for room in found}


@cache
def imports(path: Path) -> list[Import]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write absolute imports"
            found.append(Import(node.lineno, node.module or "", tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found += [Import(node.lineno, str(name.value)) for name in node.args if isinstance(name, ast.Constant)]
    return found


def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


def room_of(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0].removesuffix(".py")


def upward(root: Path) -> list[str]:
    """Return the imports of a package that don't lead to a lower floor or stay in their room."""
    return [
        f"{path.relative_to(root)}:{found.line} imports {room}, which is not below {room_of(path, root)}"
        for path in files(root)
        for found in imports(path)
        for room in sorted(found.room() - {room_of(path, root)})
        if FLOOR[room] >= FLOOR[room_of(path, root)]
    ]


def foreign_to_kernels(root: Path) -> list[str]:
    """Return the imports by which a kernel leans on another room, even one below."""
    return [
        f"{path.relative_to(root)}:{found.line} imports {found.module}: a kernel imports nothing but kernels"
        for path in files(root / "kernels")
        for found in imports(path)
        if found.room() - {"kernels"}
    ]


def strays(root: Path) -> list[str]:
    """Return the imports of heavy packages outside their rooms."""
    return [
        f"{path.relative_to(root)}:{found.line} imports {found.module}"
        for path in files(root)
        for found in imports(path)
        for homes in [HOMES.get(found.module.split(".")[0])]
        if homes and not path.relative_to(root).as_posix().startswith(homes)
    ]


def circle(root: Path) -> list[str]:
    """Return files that import each other in a circle, the first of them again at the end; nothing without one."""
    names = {".".join(("stemdask", *path.relative_to(root).with_suffix("").parts)): path for path in files(root)}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {
        name: sorted({other for found in imports(path) for other in found.modules() if other in names} - {name})
        for name, path in names.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        done.add(name)
        return next(filter(None, (visit(other, [*trail, name]) for other in graph[name])), [])

    return next(filter(None, (visit(name, []) for name in graph)), [])


def test_every_room_has_a_floor() -> None:
    assert {room_of(path, ROOT) for path in files(ROOT)} <= set(FLOOR), "add the new room to FLOORS"


def test_imports_run_downwards_only() -> None:
    assert upward(ROOT) == []


def test_kernels_import_nothing_but_kernels() -> None:
    assert foreign_to_kernels(ROOT) == []


def test_heavy_packages_stay_in_their_rooms() -> None:
    assert strays(ROOT) == []


def test_files_import_each_other_in_no_circle() -> None:
    assert circle(ROOT) == []


def test_few_files_lie_at_the_top() -> None:
    assert len(list(ROOT.glob("*.py"))) <= MOST_FILES_AT_THE_TOP


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A sound little house to put faults into."""
    for name, text in {
        "__init__.py": "from stemdask._version import __version__\n",
        "_version.py": '__version__ = "1"\n',
        "errors.py": "",
        "model.py": "from stemdask import errors\n",
        "kernels/__init__.py": "",
        "kernels/hull.py": "import numpy as np\n",
        "store/__init__.py": "",
        "store/layout.py": "import zarr\nfrom stemdask.model import Variable\nfrom stemdask.store import writer\n",
        "store/writer.py": "from stemdask.errors import StoreError\n",
        "engine/workers/threads.py": "def begin():\n    import distributed\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_sound_house_passes(house: Path) -> None:
    assert (upward(house), foreign_to_kernels(house), strays(house), circle(house)) == ([], [], [], [])


@pytest.mark.parametrize("file", ["store/writer.py", "store/__init__.py"])
@pytest.mark.parametrize(
    ("text", "room"),
    [
        ("from stemdask.report.page import write\n", "report"),
        ("from stemdask import report\n", "report"),
        ("import stemdask.report.page\n", "report"),
        ("def late():\n    from stemdask.report import page\n", "report"),
        ("if TYPE_CHECKING:\n    from stemdask.report.page import Page\n", "report"),
        ("def late():\n    return importlib.import_module('stemdask.report.page')\n", "report"),
        ("from stemdask import run\n", "__init__"),
        ("import stemdask\n", "__init__"),
    ],
)
def test_an_import_upwards_is_found_wherever_it_stands(house: Path, file: str, text: str, room: str) -> None:
    (house / file).write_text(text)
    [found] = upward(house)
    assert found.startswith(f"{file}:{text.count(chr(10))} imports {room},")


def test_rooms_on_one_floor_do_not_import_each_other(house: Path) -> None:
    (house / "simulate.py").write_text("from stemdask.adapters import atomap\n")
    assert upward(house) == ["simulate.py:1 imports adapters, which is not below simulate"]


def test_a_kernel_that_raises_errors_of_stemdask_is_found(house: Path) -> None:
    (house / "kernels/hull.py").write_text("from stemdask.errors import AnalysisError\n")
    assert upward(house) == []
    [found] = foreign_to_kernels(house)
    assert found.startswith("kernels/hull.py:1 imports stemdask.errors")


def test_a_heavy_package_outside_its_room_is_found(house: Path) -> None:
    (house / "store/writer.py").write_text("def late():\n    from distributed.client import Client\n")
    assert strays(house) == ["store/writer.py:2 imports distributed.client"]


def test_a_circle_is_found(house: Path) -> None:
    (house / "store/writer.py").write_text("if TYPE_CHECKING:\n    from stemdask.store import layout\n")
    assert circle(house) == ["stemdask.store.layout", "stemdask.store.writer", "stemdask.store.layout"]


@pytest.mark.processes
@pytest.mark.parametrize("start", ["import stemdask", "from stemdask.cli.main import app; app(['--help'], 'stemdask')"])
def test_starting_imports_no_heavy_package(start: str) -> None:
    assert _heavy_after(start) == set()


@pytest.mark.processes
@pytest.mark.parametrize("module", ["stemdask.engine.workers.worker", "stemdask.engine.workers.telling"])
def test_a_worker_compiles_nothing_before_it_has_a_frame_to_analyse(module: str) -> None:
    """Hundreds of them start at once: numba and what it brings would double the memory and the time of each."""
    assert not _heavy_after(f"import {module}") & {"matplotlib", "numba", "pandas", "scipy", "xarray"}


def _heavy_after(start: str) -> set[str]:
    """Return the heavy packages that a program has imported at its end."""
    program = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('imported:', *sorted(set({HEAVY!r}) & set(sys.modules))))\n"
        f"{start}"
    )
    # Other tests may have left toys on the path, whose sitecustomize imports much.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=clean)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.processes
def test_a_run_is_ready_without_the_kernels_of_the_other_half() -> None:
    program = "import sys, stemdask.engine.run; print(*sorted(n for n in sys.modules if '.kernels.atoms.' in n))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert len(loaded) <= 1, loaded  # XTC is unpacked by one
