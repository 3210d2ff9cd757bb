"""Nobody else on the machine can reach the workers of a run."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import toy
from distributed import Client

pytestmark = pytest.mark.processes


def _listening(pid: int) -> set[tuple[str, int]]:
    family = {pid, *(one.pid for one in psutil.Process(pid).children(recursive=True))}
    found = [one for one in psutil.net_connections("inet") if one.pid in family and one.status == psutil.CONN_LISTEN]
    return {(one.laddr.ip, one.laddr.port) for one in found}


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_run_listens_on_loopback_alone_and_only_encrypted(tmp_path: Path, kind: str) -> None:
    store = tmp_path / "o.zarr"
    frames = toy.write_frames(tmp_path / "f.npy", 40)
    driver = toy.drive(toy.config(frames, store, cluster=kind, params=toy.pausing(store)))
    try:
        toy.wait_until(lambda: toy.blocks_done(store) >= 2)
        found = _listening(driver.pid)
        assert {ip for ip, _ in found} <= {"127.0.0.1"}
        assert bool(found) == (kind == "processes")
        for _, port in sorted(found):
            with pytest.raises(OSError):  # noqa: PT011 - any refusal will do
                Client(f"tcp://127.0.0.1:{port}", timeout=1, set_as_default=False)
    finally:
        driver.kill()
        driver.wait()
