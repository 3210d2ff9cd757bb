"""Compiled functions, kept between runs by the contents of the files that they are made of.

numba recognises a change of a kernel's own file, not of the files that it calls from: the folder in which a kernel is
kept is therefore named after its file and all that this file imports, directly or not, from stemdask.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, overload

import numba
from platformdirs import user_cache_path

_PACKAGE = Path(__file__).parents[1]
# Parsing the files takes 40 times as long.
_IMPORT = re.compile(r"^\s*(?:from|import)\s+(stemdask[\w.]*)(?:\s+import\s+(\([^)]*\)|[^\n#]*))?", re.MULTILINE)
_UNUSED = 30 * 24 * 3600.0  # seconds until a folder of other contents is removed
_LOCK = threading.Lock()

_Function = TypeVar("_Function", bound=Callable[..., Any])


@overload
def kernel(function: _Function, /) -> _Function: ...
@overload
def kernel(**options: Any) -> Callable[[_Function], _Function]: ...
def kernel(function: _Function | None = None, /, **options: Any) -> _Function | Callable[[_Function], _Function]:
    """Compile a function by numba, without bounds of Python and with numpy's division by zero.

    Parameters
    ----------
    function
        What to compile.
    **options
        Further options of ``numba.njit``, such as ``fastmath`` or ``inline``.

    Returns
    -------
    The compiled function; without a function, a decorator.
    """

    def compiled(function: _Function) -> _Function:
        path = Path(function.__code__.co_filename)
        with _kept_in(_folder(path)) as kept:
            made: _Function = numba.njit(cache=kept, nogil=True, error_model="numpy", **options)(function)
        return made

    return compiled if function is None else compiled(function)


def when_compiling(call: Callable[[bool], object]) -> None:
    """Have something called whenever the compilation of a kernel begins (true) or ends; one may lie in another."""
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            call(True)

        def on_end(self, event: Any) -> None:
            call(False)

    event.register("numba:compile", Listener())  # type: ignore[no-untyped-call]


def were_compiled() -> bool:
    """Return whether any kernel has been compiled on this machine before."""
    return any(_kernels().glob("*/*/*.nbi"))


def import_closure(path: Path) -> list[Path]:
    """Return the file and all files of stemdask that it imports, directly or not, in order."""
    found, left = {path}, [path]
    while left:
        new = _imported(left.pop()) - found
        found |= new
        left.extend(new)
    return sorted(found)


@cache
def _source(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _imported(path: Path) -> frozenset[Path]:
    modules = set()
    for module, names in _IMPORT.findall(_source(path).decode()):
        modules |= {module, *(f"{module}.{name}" for name in re.findall(r"\w+", names))}
    files = (_PACKAGE.joinpath(*module.split(".")[1:]) for module in modules)
    return frozenset(file for stem in files if (file := stem.with_suffix(".py")).is_file())


def _kernels() -> Path:
    # A cache of one machine: kernels are compiled for its processor, and numba's cache may not be shared by network.
    config: Any = numba.config
    return (Path(config.CACHE_DIR) if config.CACHE_DIR else user_cache_path("stemdask") / platform.node()) / "kernels"


@cache
def _folder(path: Path) -> Path | None:
    """Return the folder that keeps what is compiled of a file; None where there can be none."""
    try:
        digest = hashlib.sha256(b"".join(hashlib.sha256(_source(file)).digest() for file in import_closure(path)))
        folder = _kernels() / f"{_name(path)}-{digest.hexdigest()[:16]}"
        if folder.is_dir():
            os.utime(folder)
        else:
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            _remove_unused(folder)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _name(path: Path) -> str:
    inside = path.is_relative_to(_PACKAGE)
    return ".".join(path.relative_to(_PACKAGE).with_suffix("").parts) if inside else path.stem


def _remove_unused(folder: Path) -> None:
    for other in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > _UNUSED:
                shutil.rmtree(other)


@contextlib.contextmanager
def _kept_in(folder: Path | None) -> Iterator[bool]:
    """Let numba keep what is compiled inside in a folder, and say whether it does; its settings are as before after."""
    config: Any = numba.config
    with _LOCK:
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder or before)
        try:
            yield folder is not None
        finally:
            config.CACHE_DIR = before
