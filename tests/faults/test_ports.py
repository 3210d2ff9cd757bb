"""Nobody else on the machine can reach the workers of a run."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest
import toy

pytestmark = pytest.mark.processes

#: Pages of Dask with which anybody could look into a run.
PAGES = ("/", "/info/main/workers.html", "/json/identity.json", "/metrics")


def _listening(pid: int) -> set[tuple[str, int]]:
    family = {pid, *(one.pid for one in psutil.Process(pid).children(recursive=True))}
    found = [one for one in psutil.net_connections("inet") if one.pid in family and one.status == psutil.CONN_LISTEN]
    return {(one.laddr.ip, one.laddr.port) for one in found}


def _answer(port: int, page: str) -> bytes:
    """Return what a port says to somebody without keys; nothing where it hangs up."""
    with socket.create_connection(("127.0.0.1", port), 120) as plain:
        try:
            plain.sendall(f"GET {page} HTTP/1.0\r\n\r\n".encode())
            return plain.recv(12)
        except ConnectionError:
            return b""


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_run_listens_on_loopback_alone_and_tells_nobody_anything(tmp_path: Path, kind: str) -> None:
    store = tmp_path / "o.zarr"
    frames = toy.write_frames(tmp_path / "f.npy", 40)
    driver = toy.drive(toy.config(frames, store, cluster=kind, params=toy.pausing(store)))
    try:
        toy.wait_until(lambda: toy.blocks_done(store) >= 2)
        found = _listening(driver.pid)
        assert {ip for ip, _ in found} <= {"127.0.0.1"}
        assert bool(found) == (kind == "processes")
        answers = {_answer(port, page) for _, port in sorted(found) for page in PAGES}
        assert answers <= {b"", b"HTTP/1.1 404"}
        assert (b"" in answers) == (kind == "processes"), "the ports of Dask's own messages are encrypted"
    finally:
        driver.kill()
        driver.wait()
