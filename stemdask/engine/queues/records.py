"""The record of a batch system, found by its kind, by the job around this process or by the commands of a machine."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import get_args

from stemdask.config.clusters import BatchKind
from stemdask.engine.queues.queue import Queue


@lru_cache
def queue_of(kind: str) -> Queue:
    """Return the record of a batch system, which is `QUEUE` of the file with the name of its kind."""
    found: Queue = importlib.import_module(f"stemdask.engine.queues.{kind}").QUEUE
    return found


def queues() -> Iterator[Queue]:
    """Yield the records of all kinds, in the order of the config."""
    return map(queue_of, get_args(BatchKind))


def queue_around() -> Queue | None:
    """Return the batch system in a job of which this process runs, or None."""
    return next((queue for queue in queues() if queue.inside.job in os.environ), None)


def queue_here() -> Queue:
    """Return the batch system whose commands this machine has; the first of all where it has none."""
    return next((queue for queue in queues() if not queue.missing()), next(queues()))
