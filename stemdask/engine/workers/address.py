"""Workers of a Dask scheduler that runs already; whoever started it looks after them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from stemdask._version import __version__
from stemdask.config import clusters as kinds
from stemdask.engine.dispatch import Job
from stemdask.engine.queues.jobs import wait_until
from stemdask.engine.workers import keys
from stemdask.engine.workers.cluster import REPLY_SECONDS, DaskPool
from stemdask.errors import ClusterError


class AddressPool(DaskPool):
    """The workers that a running scheduler has."""

    def __init__(self, job: Job, cluster: kinds.Address) -> None:
        super().__init__(job, 1, cluster.workers_timeout)
        self._config = cluster

    def start(self) -> Any:
        """Connect; raise ClusterError where nobody answers or the workers run another version of stemdask."""
        import dask
        import distributed

        config = self._config
        library: Any = distributed
        security = None
        address = config.scheduler
        if config.scheduler_file is not None and address is None:
            address = _address_in(Path(config.scheduler_file).expanduser())
        if config.tls_directory is not None:
            security = keys.load(Path(config.tls_directory).expanduser())
        elif (address or "").startswith("tcp://"):
            self._stack.enter_context(dask.config.set({"distributed.comm.require-encryption": False}))
        try:
            client = library.Client(
                address,
                security=security,
                timeout=REPLY_SECONDS,
                set_as_default=False,
            )
        except (OSError, TimeoutError, ValueError) as error:
            where = config.scheduler or config.scheduler_file
            raise ClusterError(f"no scheduler answers: {error}", where=where, remedy="Start it first") from error
        self._stack.callback(client.close, timeout=REPLY_SECONDS)
        check_versions(client)
        self.workers = max(1, self._count(client))
        self.window = self.AHEAD * self.workers
        return client

    def alive(self) -> int:
        """Return how many workers the scheduler has."""
        return self._count(self._client)

    def _count(self, client: Any) -> int:
        return len(client.scheduler_info(n_workers=-1).get("workers", ()))  # it is empty while out of reach


def check_versions(client: Any) -> None:
    """Raise ClusterError if a worker that others started has another stemdask."""
    versions = set(client.run(_version).values()) - {__version__}
    if versions:
        raise ClusterError("the workers run another version of stemdask", value=sorted(versions), allowed=__version__)


def _address_in(file: Path) -> str:
    """Return the address that a scheduler wrote; raise ClusterError where there is none in time.

    A scheduler writes it piece by piece, and distributed gives up a file that isn't whole after a tenth of a second.
    """
    found: list[str] = []

    def written() -> bool:
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            found.append(str(json.loads(file.read_text())["address"]))
        return bool(found)

    if not wait_until(written, REPLY_SECONDS):
        raise ClusterError("no scheduler answers: the file holds no address", where=file, remedy="Start it first")
    return found[0]


def _version() -> str:
    return __version__
