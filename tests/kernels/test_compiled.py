"""A kernel is kept by what it imports: a change elsewhere leaves it, and a change below it compiles it anew."""

from __future__ import annotations

import ast
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import stemdask
from stemdask.kernels import compiled
from stemdask.kernels.compiled import import_closure

pytestmark = pytest.mark.processes

PACKAGE = Path(stemdask.__file__).parent
KERNELS = PACKAGE / "kernels"
JOINT_FIT = "images/fitting/normal_equations.py"
HULL = "atoms/hull.py"


def run(code: str, parent: Path, **variables: str) -> str:
    """Run code that imports the stemdask below a folder."""
    environment = {**os.environ, "PYTHONPATH": str(parent), "PYTHONSAFEPATH": "1", **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def folders(parent: Path, *files: str) -> list[str]:
    """Return the names of the folders of some kernel files in the copy of stemdask below a folder."""
    code = (
        "from pathlib import Path; from stemdask.kernels import compiled; here = Path(compiled.__file__).parent\n"
        f"for file in {files!r}: print(compiled._folder(here / file).name)"
    )
    return run(code, parent, NUMBA_CACHE_DIR=str(parent / "cache")).splitlines()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "stemdask", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def add_a_comment(file: Path) -> None:
    file.write_text(file.read_text() + "# a comment\n")


def test_a_comment_in_one_file_changes_the_folders_of_what_imports_it_alone(copy: Path) -> None:
    (copy / "stemdask/kernels/atoms/on_hull.py").write_text("from stemdask.kernels.atoms.hull import hull_volume\n")
    files = (JOINT_FIT, HULL, "atoms/on_hull.py")
    before = folders(copy, *files)
    add_a_comment(copy / "stemdask/kernels" / HULL)
    after = folders(copy, *files)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, False]


def test_a_change_far_below_a_kernel_changes_its_folder(copy: Path) -> None:
    below = {path.name for path in import_closure(KERNELS / "atoms/bond_order.py")}
    assert {"cells.py", "harmonics.py", "compiled.py"} <= below
    (before,) = folders(copy, "atoms/bond_order.py")
    add_a_comment(copy / "stemdask/kernels/atoms/cells.py")
    assert folders(copy, "atoms/bond_order.py") != [before]


def test_a_changed_callee_is_seen_by_its_caller(copy: Path) -> None:
    kernels = copy / "stemdask/kernels"
    source = "from stemdask.kernels.compiled import kernel\n\n\n@kernel\ndef callee() -> int:\n    return {}\n"
    (kernels / "callee.py").write_text(source.format(1))
    (kernels / "caller.py").write_text(
        "from stemdask.kernels.callee import callee\nfrom stemdask.kernels.compiled import kernel\n\n\n"
        "@kernel\ndef caller() -> int:\n    return callee()\n"
    )
    code = "from stemdask.kernels.caller import caller; print(caller(), sum(caller.stats.cache_hits.values()))"
    cache = str(copy / "cache")
    assert run(code, copy, NUMBA_CACHE_DIR=cache) == "1 0"
    assert run(code, copy, NUMBA_CACHE_DIR=cache) == "1 1"
    (kernels / "callee.py").write_text(source.format(2))
    assert run(code, copy, NUMBA_CACHE_DIR=cache) == "2 0"


def test_imports_are_found_like_by_the_parser() -> None:
    for path in PACKAGE.rglob("*.py"):
        modules = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        files = {PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py") for module in modules if module}
        assert compiled._imported(path) == {file for file in files if file.is_file() and file.is_relative_to(PACKAGE)}


def test_names_of_array_types_cost_no_compiler() -> None:
    code = "import sys, stemdask.kernels.arrays; print('numba' in sys.modules)"
    assert run(code, PACKAGE.parent) == "False"


def test_the_users_own_functions_are_kept_where_they_were(tmp_path: Path) -> None:
    code = "import numba, stemdask.kernels.atoms.cells; print(repr(numba.config.CACHE_DIR))"
    assert run(code, PACKAGE.parent, NUMBA_CACHE_DIR=str(tmp_path)) == repr(str(tmp_path))
    assert run(code, PACKAGE.parent, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path)) == "''"


def test_kernels_are_kept_where_nobody_else_reads_them(tmp_path: Path) -> None:
    run("import stemdask.kernels.atoms.cells", PACKAGE.parent, NUMBA_CACHE_DIR=str(tmp_path))
    made = list((tmp_path / "kernels").iterdir())
    assert any(folder.name.startswith("kernels.atoms.cells-") for folder in made)
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in made} == {0o700}


def test_a_machine_without_compiled_kernels_is_told_from_one_with_some(tmp_path: Path) -> None:
    """As numba lays them out, in a folder of its own for each file's directory."""
    asked = "from stemdask.kernels import compiled; print(compiled.were_compiled())"
    compile_one = (
        "import numpy as np; from stemdask.kernels.images.finding.peaks import interpolate_cubic as f; "
        "f(np.zeros((8, 8), np.float32), 3.0, 3.0); "
    )
    where = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert run(f"import stemdask.kernels.images.finding.peaks; {asked}", PACKAGE.parent, **where) == "False"
    assert run(compile_one + asked, PACKAGE.parent, **where) == "True"
