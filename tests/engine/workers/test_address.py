from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import pytest

from stemdask._version import __version__
from stemdask.config.clusters import Address
from stemdask.engine.dispatch import Job
from stemdask.engine.workers import address
from stemdask.engine.workers.address import AddressPool
from stemdask.engine.workers.gateway import GatewayPool
from stemdask.errors import ClusterError

WHOLE = json.dumps({"type": "Scheduler", "address": "tls://10.0.0.1:8786"})


def test_the_address_is_read_once_its_file_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "scheduler.json"
    pieces = iter(["", WHOLE[:30], WHOLE])
    monkeypatch.setattr(time, "sleep", lambda seconds: file.write_text(next(pieces)))
    assert address._address_in(file) == "tls://10.0.0.1:8786"
    assert next(pieces, None) is None, "not one look more"


@pytest.mark.parametrize("text", [None, "", WHOLE[:30], "[]", "{}"])
def test_a_file_without_an_address_ends_the_wait_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setattr(address, "REPLY_SECONDS", -1.0)
    file = tmp_path / "scheduler.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ClusterError, match="holds no address") as caught:
        address._address_in(file)
    assert caught.value.where == file


def test_workers_with_another_stemdask_are_refused_with_both_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        def __init__(self, *given: object, **options: object) -> None:
            pass

        def run(self, function: Callable[[], str]) -> dict[str, str]:
            return {"tcp://one": function(), "tcp://two": "0.0.1"}

        def close(self, timeout: float) -> None:
            pass

    monkeypatch.setattr(distributed, "Client", Client)
    job = Job(str(tmp_path / "o.zarr"), 1, True, 0, lambda: False)
    pool = AddressPool(job, Address(kind="address", scheduler="tcp://10.0.0.1:8786"))
    with pytest.raises(ClusterError, match=rf"another version of stemdask .*0\.0\.1.*{__version__}"), pool:
        pass


def test_a_scheduler_out_of_reach_has_no_workers() -> None:
    """Its client then knows nothing of it, and the run waits for it as for workers."""
    client: Any = SimpleNamespace(scheduler_info=lambda n_workers: {})
    existing: Any = SimpleNamespace(_client=client, _count=lambda one: AddressPool._count(existing, one))
    gateway: Any = SimpleNamespace(_client=client, _checked=False)
    assert AddressPool.alive(existing) == 0
    assert GatewayPool.alive(gateway) == 0
