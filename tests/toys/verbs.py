"""Verbs of the command line, each in a process of its own that starts in milliseconds: a fork of one that is warm."""

from __future__ import annotations

import codecs
import multiprocessing
import os
import sys
import tempfile
import unittest.mock
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import toy
from nth import DyingNth

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "verbs",
        "stemdask.engine.run",
        "stemdask.store.pack",
        "stemdask.export.csv",
        "stemdask.report",
        "stemdask.figures.saved",
        "stemdask.view.reading",
        "stemdask.tuning.written",
        "stemdask.cli.preview",
    ]
)


def start(verb: str, words: Path, **given: Any) -> ForkServerProcess:
    """Start a verb as the leader of a process group; what it says goes to a file."""
    process = _CONTEXT.Process(target=_do, args=(verb, words, dict(os.environ), given))
    process.start()
    return process


def _do(verb: str, words: Path, environment: dict[str, str], given: dict[str, Any]) -> None:
    os.setsid()
    os.environ.update(environment)
    with words.open("ab") as file:
        os.dup2(file.fileno(), 2)
    if "TOY_NO_SYNC" in os.environ:
        _force_nothing()
    toy.install()
    if n := environment.get("TOY_DIES_AT"):
        DyingNth(pytest.MonkeyPatch(), int(n), 0, Path(environment["TOY_DIES_BELOW"]))
    if uid := environment.get("TOY_UID"):
        _become(int(uid))
    sys.exit(do(verb, **given))


def do(verb: str, **given: Any) -> int:
    """Do a verb in this process, as the command line does; return its exit code."""
    from stemdask.errors import StemdaskError

    try:
        return VERBS[verb](**given)
    except StemdaskError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _become(uid: int) -> None:
    """Become another user; all is imported before: another user need not be allowed to read this Python."""
    codecs.lookup("unicode-escape")  # of which Jinja asks
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    os.chdir("/")


def _force_nothing() -> None:
    """Leave out whatever forces bytes to the disk."""
    from stemdask.store import disk

    os.fsync = lambda descriptor: None
    disk._syncfs = lambda descriptor: 0


def _run(data: dict[str, Any], **how: Any) -> int:
    from stemdask.config.document import Document
    from stemdask.engine.run import execute

    return execute(Document(data), **how).exit_code


def _repair(store: str) -> int:
    from stemdask.results import reader

    return 0 if reader.verify(store, repair=True).sound else 1


def _pack(store: str) -> int:
    from stemdask.store import pack

    pack.pack(store)
    return 0


def _export(store: str, to: str) -> int:
    from stemdask import export

    export.write(store, "csv", Path(to))
    return 0


def _report(store: str, to: str) -> int:
    from stemdask import report

    report.write(store, Path(to))
    return 0


def _figures(store: str, to: str) -> int:
    from stemdask.figures import saved

    saved.save(store, to)
    return 0


def _verify(store: str) -> int:
    from stemdask.results import reader

    return 0 if reader.verify(store).sound else 1


def _view(store: str, frame: int, scratch: str | None = None) -> int:
    from stemdask.view.reading import Frames

    tempfile.tempdir = scratch
    sys.stderr.write(Frames(Path(store)).image(frame).trouble)
    return 0


def _preview(path: str, to: str, scratch: str) -> int:
    from stemdask.cli import preview

    tempfile.tempdir = scratch
    return preview.show([path], 0, Path(to))


def _tune(data: dict[str, Any], to: str) -> int:
    from stemdask.config.document import Document
    from stemdask.tuning import written
    from stemdask.tuning.tune import tune

    written.check(Path(to))
    written.write(tune(Document(data)), Path(to))
    return 0


def _tuned(to: str) -> int:
    """Write what a sweep leaves behind, without the sweep, which writes nothing."""
    from stemdask.report.template import GENERATOR
    from stemdask.tuning import written

    texts = {name: f"# Tuned by stemdask: {name}\n<!-- {GENERATOR} -->\n" for name in ("config", "scores", "page")}
    made = {name: lambda *given, text=text: text for name, text in texts.items()}
    written.check(Path(to))
    with unittest.mock.patch.multiple(written, **made):
        written.write(unittest.mock.Mock(), Path(to))
    return 0


#: What each does, and the exit code with which it ends unless it raises an error of ours.
VERBS = {
    "run": _run,
    "verify": _verify,
    "repair": _repair,
    "pack": _pack,
    "export": _export,
    "report": _report,
    "figures": _figures,
    "view": _view,
    "preview": _preview,
    "tune": _tune,
    "tuned": _tuned,
}
