"""The progress of a run, once or until it ends."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from stemdask.engine.queues import seeing
from stemdask.results import reader
from stemdask.store.layout import run_directory

#: Seconds between two updates.
EVERY = 5.0


def show(store: Path, *, follow: bool) -> None:
    """Print the progress of a run; with `follow`, again at each change until no driver is running or pending."""
    said = ""
    while True:
        more = follow and seeing.waits(store)
        text = "\n".join([_results(store), *seeing.lines(store)])
        if text != said:
            typer.echo(text)
            said = text
        if not more:
            break
        time.sleep(EVERY)
    for line in seeing.used(store):
        typer.echo(f"  {line}")


def _results(store: Path) -> str:
    if not store.exists() and run_directory(store).exists():
        return f"{store}: no frame is done yet"
    return reader.status(store).text()
