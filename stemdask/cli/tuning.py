"""Tuning on a terminal: how far it is, the table of scores, and what was chosen."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from stemdask.config.document import Document
from stemdask.tuning import written
from stemdask.tuning.tune import tune


def show(document: Document, output: Path, frames: str | None, *, quiet: bool) -> None:
    """Tune a config, show the scores, and write the config with the best, the scores as JSON and a page."""
    written.check(output)
    on_terminal = sys.stderr.isatty() and not quiet
    tuned = tune(document, frames=frames, progress=_told if on_terminal else _nothing)
    if on_terminal:
        typer.echo(err=True)
    for line in (*written.table(tuned), *written.sentences(tuned)):
        typer.echo(line)
    for path in written.write(tuned, output):
        typer.echo(path)


def _told(line: str) -> None:
    typer.echo(f"\r\x1b[K{line}", nl=False, err=True)


def _nothing(line: str) -> None:
    return
