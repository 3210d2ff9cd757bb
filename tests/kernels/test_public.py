"""What a notebook can call: every public function of the kernels has an example, and what it shows is true."""

from __future__ import annotations

import doctest
import importlib
import inspect
from types import ModuleType

import pytest

from stemdask.kernels import atoms, images

PUBLIC = [
    pytest.param(module, name, id=f"{module.__name__.rpartition('.')[2]}-{name}")
    for module in (atoms, images)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
]


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_the_example_of_a_function_shows_what_it_returns(module: ModuleType, name: str) -> None:
    function = getattr(module, name)
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name)
    assert test.examples, f"{name} has no example"
    said: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed = doctest.DocTestRunner(optionflags=flags).run(test, out=said.append).failed
    assert not failed, "".join(said)


@pytest.mark.parametrize("module", [atoms, images])
def test_all_names_are_there_once(module: ModuleType) -> None:
    assert len(module.__all__) == len(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("name", [name for name in atoms.__all__ if name == atoms._HOMES.get(name)])
def test_a_function_goes_before_the_file_of_the_same_name(name: str) -> None:
    file = importlib.import_module(f"{atoms.__name__}.{name}")
    setattr(atoms, name, file)  # as the import of a file does
    assert getattr(atoms, name) is getattr(file, name)
