"""Workers that a dask-gateway starts on whatever it stands in front of: a batch system, Kubernetes, Hadoop."""

from __future__ import annotations

import importlib
from typing import Any

from stemdask.config import clusters as kinds
from stemdask.engine.dispatch import Job
from stemdask.engine.workers.address import check_versions
from stemdask.engine.workers.cluster import DaskPool
from stemdask.errors import ClusterError


class GatewayPool(DaskPool):
    """A cluster of this run alone, which the gateway starts, restores and ends; encrypted by keys of its own.

    How a user is known to the gateway, and where its proxy is, is told by Dask's own `gateway.yaml`.
    """

    def __init__(self, job: Job, cluster: kinds.Gateway, workers: int) -> None:
        super().__init__(job, workers, cluster.workers_timeout)
        self._config = cluster
        self._checked = False

    def start(self) -> Any:
        """Ask for a cluster; raise ClusterError where no gateway answers, or it refuses."""
        try:
            library: Any = importlib.import_module("dask_gateway")
        except ImportError:
            raise ClusterError(
                "dask-gateway is not installed", where="cluster.kind: gateway", remedy="pip install 'stemdask[gateway]'"
            ) from None
        try:
            self._cluster = library.GatewayCluster(self._config.address, **self._config.options)
        except (OSError, TimeoutError, ValueError, library.GatewayClusterError, library.GatewayServerError) as error:
            raise ClusterError(
                f"the gateway provided no cluster: {error}",
                where="cluster.address",
                value=self._config.address,
                remedy="See dask-gateway's own configuration, gateway.yaml",
            ) from error
        self._stack.callback(self._end)
        client = self._cluster.get_client(set_as_default=False)
        self._stack.callback(client.close)
        self._client = client
        self.restore()
        return client

    def alive(self) -> int:
        """Return how many workers the scheduler has; raise ClusterError where they have another stemdask."""
        alive = len(self._client.scheduler_info(n_workers=-1).get("workers", ()))  # it is empty while out of reach
        if alive and not self._checked:
            check_versions(self._client)
            self._checked = True
        return alive

    def restore(self) -> None:
        """Ask again for the workers that are missing."""
        self._cluster.scale(self.workers)

    def _end(self) -> None:
        self._cluster.shutdown()
        # As it is collected it would close once more, of which distributed complains on the terminal.
        vars(self._cluster.gateway).pop("_loop_runner", None)
