"""Runs a toy config in a process of its own; unguarded on purpose, as a user's script may be."""

import json
import os
import sys
from pathlib import Path

import psutil
import toy

from stemdask.config.document import Document
from stemdask.engine.progress import Progress
from stemdask.engine.run import execute
from stemdask.errors import StemdaskError


def tell_size(progress: Progress) -> None:
    """Add a line to the file that TOY_SIZES names: frames done, those of them by this driver, and its memory, bytes."""
    with Path(os.environ["TOY_SIZES"]).open("a") as file:
        file.write(f"{progress.done} {progress.fresh} {psutil.Process().memory_info().rss}\n")


toy.install()
try:
    report = tell_size if "TOY_SIZES" in os.environ else False
    outcome = execute(Document(json.loads(sys.argv[1])), progress=report, **json.loads(sys.argv[2]))
except StemdaskError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    sys.exit(130)
sys.exit(outcome.exit_code)
