"""A command of the user's own at the end of a run, such as one that sends a message."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from stemdask.config.clusters import Batch, Cluster
from stemdask.engine.signals import Stop

log = logging.getLogger(__name__)

#: Seconds that the command may take.
SECONDS = 60.0


@contextlib.contextmanager
def told(cluster: Cluster, store: Path, stop: Stop) -> Iterator[None]:
    """Run `on_end` of a cluster once what is inside is over, unless this driver comes back to go on.

    The command finds the store as STEMDASK_STORE, and as STEMDASK_ENDED what became of the run: "complete", or a
    sentence that says what ended it. Whatever the command does changes nothing of the run.
    """
    ended = "complete"
    try:
        yield
    except BaseException as error:
        ended = str(error) or type(error).__name__
        raise
    finally:
        if isinstance(cluster, Batch) and cluster.on_end is not None and not stop.comes_back():
            _run(cluster.on_end, {"STEMDASK_STORE": str(store), "STEMDASK_ENDED": ended})


def _run(command: str, variables: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            ["bash", "-c", command],
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            log.warning("on_end ended with %d: %s", done.returncode, done.stderr.strip()[:500])
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("on_end failed: %s", error)
