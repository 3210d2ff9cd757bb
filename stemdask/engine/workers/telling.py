"""How a Dask worker tells the driver of a block that is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemdask.engine.block import Ack
from stemdask.engine.task import do_block
from stemdask.model import Block, FrameStatus


def do_and_tell(topic: str, key: str, store: str, block: Block, epoch: int, isolate: bool | None) -> None:
    """Do a block, and send its acknowledgement along the stream on which the worker reports that its task is done.

    A result would have to be fetched from the worker, which may be gone by then: the fetch would wait for it, and the
    block be done twice.

    Parameters
    ----------
    topic
        Of the run; the driver listens to it.
    key
        Of the task.
    store, block, epoch, isolate
        As for `do_block`.
    """
    from distributed import get_worker

    ack = do_block(store, block, epoch, isolate)
    counts = [[int(status), n] for status, n in ack.counts.items()]
    said = {"key": key, "block": ack.block, "counts": counts, "seconds": ack.seconds, "reasons": list(ack.reasons)}
    get_worker().log_event(topic, said)


def read_ack(said: Mapping[str, Any]) -> Ack:
    """Read what `do_and_tell` sent."""
    counts = {FrameStatus(status): n for status, n in said["counts"]}
    return Ack(said["block"], counts, said["seconds"], tuple(said["reasons"]))
