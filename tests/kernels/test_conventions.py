"""Kernels look alike: one decorator, one name for each type of array, short signatures."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import stemdask

KERNELS = Path(stemdask.__file__).parent / "kernels"
MOST_PARAMETERS = 8


def files() -> Iterator[tuple[str, str]]:
    for path in sorted(KERNELS.rglob("*.py")):
        yield path.relative_to(KERNELS).as_posix(), path.read_text()


def parameters(function: ast.FunctionDef) -> int:
    of = function.args
    every = [*of.posonlyargs, *of.args, *of.kwonlyargs, *filter(None, (of.vararg, of.kwarg))]
    return sum(argument.arg not in {"self", "cls"} for argument in every)


def test_the_compiler_is_imported_in_one_place() -> None:
    importing = [name for name, text in files() if re.search(r"^\s*(from|import) numba\b", text, re.MULTILINE)]
    assert importing == ["compiled.py"]


def test_types_of_arrays_have_one_name() -> None:
    names = re.findall(r"^(\w+): TypeAlias = NDArray\[([\w.]+)\]", (KERNELS / "arrays.py").read_text(), re.MULTILINE)
    assert {"Array", "Floats", "Image"} <= {name for name, _ in names}
    spelled = [f"NDArray[{element}]" for _, element in names]
    for name, text in files():
        if name == "arrays.py":
            continue
        assert not [long for long in spelled if long in text], f"{name}: kernels/arrays.py has a name for these"
        assert not re.search(r"^\w+(: TypeAlias)? = NDArray\b", text, re.MULTILINE), f"{name}: define it in arrays.py"


def test_no_function_has_more_than_eight_parameters() -> None:
    offenders = {
        f"{name}: {node.name}": parameters(node)
        for name, text in files()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and parameters(node) > MOST_PARAMETERS
    }
    assert not offenders
