"""What looks at frames told, kept beside the store: the same question about the same frames has the same answer."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from stemdask._version import __version__
from stemdask.errors import StoreError
from stemdask.model import Source, Step
from stemdask.planning import plan_file
from stemdask.store import disk, place
from stemdask.store.metadata import run_directory

T = TypeVar("T", bool, str)


class Looks:
    """Answers by question, both JSON-able.

    Parameters
    ----------
    known
        Of an earlier run of the same store.
    """

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        self._known = dict(known or {})
        self.asked: dict[str, Any] = {}
        """What was asked this time, with its answers."""

    def once(self, what: str, source: Source, steps: Sequence[Step], look: Callable[[], T]) -> T:
        """Return what a look tells, without looking again at what is known.

        Parameters
        ----------
        what
            Is asked.
        source, steps
            Of which frames, after which steps; with the time of each file.
        look
            Gives the answer.
        """
        described = [__version__, what, plan_file.pack(source, steps)]
        question = _hash(described)
        answer = self._known[question] if question in self._known else look()
        self.asked[question] = answer
        return answer

    def save(self, store: Path) -> None:
        """Keep what was asked beside a store."""
        disk.write_file(_file(store), json.dumps({"answers": self.asked, "sha256": _hash(self.asked)}))


def beside(output: str) -> Looks:
    """Return what is known from the last run of the store that an output names; nothing where a bit of it changed."""
    with contextlib.suppress(StoreError, OSError, ValueError, KeyError, TypeError):
        found = json.loads(_file(place.path_of(output)).read_text())
        if found["sha256"] == _hash(found["answers"]):
            return Looks(found["answers"])
    return Looks()


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _file(store: Path) -> Path:
    return run_directory(store) / "looks.json"
