"""File descriptors of the driver, of which each worker takes some."""

from __future__ import annotations

import resource

from stemdask.errors import ClusterError

#: Descriptors that the driver holds for a worker: its stream, and connections for calls from either side.
EACH = 3
#: Those that it needs for itself: files, pipes, the log, commands of a queue.
OWN = 100


def allow(workers: int) -> None:
    """Raise this process's limit to its hard one; raise ClusterError where so many workers would exceed that.

    A scheduler that runs out of descriptors fails at every connection from then on.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, OWN + EACH * workers)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if (most := (hard - OWN) // EACH) < workers:
        raise ClusterError(
            "this process may not open enough files for the connections of so many workers",
            where="cluster.workers",
            value=workers,
            allowed=f"at most {max(most, 0)}, by the limit of {hard} open files (ulimit -Hn)",
            remedy="Request fewer workers, or ask an administrator to raise the limit",
        )
