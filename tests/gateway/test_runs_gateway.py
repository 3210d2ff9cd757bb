"""Runs on a real dask-gateway with the backend for one machine: its server, proxy, scheduler and workers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import toy
from told import same

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.errors import ClusterError

pytest.importorskip("dask_gateway")
pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(400)]

FRAMES = 48
CONFIG = """\
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.address = "127.0.0.1:{port}"
c.Proxy.address = "127.0.0.1:{proxy}"
c.Proxy.tcp_address = "127.0.0.1:{tcp}"
c.UnsafeLocalBackend.clusters_directory = "{folder}"
c.UnsafeLocalBackend.inherited_environment = ["PATH", "PYTHONPATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
c.UnsafeLocalBackend.cluster_start_timeout = c.UnsafeLocalBackend.worker_start_timeout = 180
c.ClusterConfig.scheduler_cmd = ["dask", "scheduler"]  # Dask has no command dask-scheduler any more
c.ClusterConfig.worker_cmd = ["dask", "worker"]
c.SimpleAuthenticator.password = "of the tests"
"""


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, toys: None) -> Iterator[str]:
    """Start a gateway and let Dask's configuration know its proxy and its password; return its address."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the scheduler needs dask-gateway too
    if (command := shutil.which("dask-gateway-server", path=path)) is None:
        pytest.skip("dask-gateway-server is not installed")
    folder = tmp_path_factory.mktemp("gateway")
    port, proxy, tcp = _free_ports(3)
    (folder / "config.py").write_text(CONFIG.format(port=port, proxy=proxy, tcp=tcp, folder=folder))
    variables = {
        "DASK_GATEWAY__PROXY_ADDRESS": f"gateway://127.0.0.1:{tcp}",
        "DASK_GATEWAY__AUTH__KWARGS": repr({"username": "me", "password": "of the tests"}),
    }
    before = {name: os.environ.get(name) for name in variables}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [command, "-f", str(folder / "config.py")],
            cwd=folder,
            env=os.environ | {"PATH": path},
            stdout=log,
            stderr=log,
        )
    try:
        toy.wait_until(lambda: server.poll() is not None or _answers(f"http://127.0.0.1:{proxy}/api/health"), 250)
        assert server.poll() is None, (folder / "log").read_text()
        os.environ |= variables
        import dask.config

        dask.config.refresh()
        yield f"http://127.0.0.1:{proxy}"
    finally:
        family = [] if server.poll() is not None else psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        server.wait(60)
        for process in psutil.wait_procs(family, 20)[1]:
            process.kill()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def test_a_run_on_a_gateway_gives_the_bytes_of_an_inline_one(
    gateway: str,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    record_property: Callable[[str, object], None],
) -> None:
    store = tmp_path / "gateway.zarr"
    cluster = {"kind": "gateway", "address": gateway, "workers": 2, "workers_timeout": 200}
    outcome = execute(Document(toy.config(frames, store, cluster)))
    assert outcome.complete
    assert toy.contents(store) == undisturbed
    record_property("figure", same("dask-gateway, two workers", undisturbed))
    import dask_gateway

    asked = dask_gateway.Gateway(gateway)
    toy.wait_until(lambda: not asked.list_clusters(), 60)


def test_a_gateway_that_does_not_answer_is_named(gateway: str, frames: Path, tmp_path: Path) -> None:
    (port,) = _free_ports(1)
    cluster = {"kind": "gateway", "address": f"http://127.0.0.1:{port}"}
    with pytest.raises(ClusterError, match="the gateway provided no cluster"):
        execute(Document(toy.config(frames, tmp_path / "none.zarr", cluster)))
