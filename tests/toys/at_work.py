"""A private batch system that is at work while tests run, to which the commands of this process speak."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import toy


class _Cluster(Protocol):
    environment: Mapping[str, str]

    def start(self) -> object: ...

    def stop(self) -> object: ...


_Kind = TypeVar("_Kind", bound=_Cluster)


@contextlib.contextmanager
def at_work(cluster: _Kind) -> Iterator[_Kind]:
    """Start a batch system whose jobs know the toy analyses, and end it."""
    before = {name: os.environ.get(name) for name in (*cluster.environment, "PYTHONPATH")}
    try:
        cluster.start()
        toy.install()
        folders = [str(Path(__file__).parent), before["PYTHONPATH"]]
        os.environ |= {**cluster.environment, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
        yield cluster
    finally:
        cluster.stop()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
