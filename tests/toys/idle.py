"""Blocks that are told to be done and aren't: for what passes between a driver and its workers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def do_and_tell(topic: str, key: str, store: str, block: Any, epoch: int, isolate: bool | None) -> None:
    """Tell what `stemdask.engine.workers.telling.do_and_tell` does, having done nothing."""
    from distributed import get_worker

    said = {"key": key, "block": block.index, "counts": [[1, 1]], "seconds": 0.0, "reasons": []}
    get_worker().log_event(topic, said)


def forget_to_tell(lost: str, topic: str, key: str, store: str, block: Any, epoch: int, isolate: bool | None) -> None:
    """Tell the same of each block but the second, of which nothing is told the first time."""
    if block.index == 1 and not Path(lost).exists():
        Path(lost).write_text(str(block.index))
    else:
        do_and_tell(topic, key, store, block, epoch, isolate)
