from __future__ import annotations

import gc
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import idle
import pytest
import toy

from stemdask.engine.dispatch import Job, dispatch
from stemdask.engine.signals import Stop
from stemdask.engine.workers import cluster
from stemdask.engine.workers.cluster import DaskPool, Processes
from stemdask.errors import Stopped
from stemdask.model import Block
from stemdask.store.layout import run_directory

pytestmark = pytest.mark.processes


def test_a_second_run_of_one_process_finds_dask_as_it_was(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 4)
    configs = [toy.config(frames, tmp_path / f"{name}.zarr", {"kind": "processes", "workers": 1}) for name in "ab"]
    program = (
        "import toy, stemdask; toy.install()\n"
        f"for config in {configs!r}: stemdask.run(config)\n"
        "import dask.config\n"
        "print(dask.config.get('distributed.deploy.lost-worker-timeout'))\n"
    )  # unguarded: workers must not run it again
    script = tmp_path / "script.py"
    script.write_text(program)
    found = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True)
    assert found.stdout == "15s\n"
    assert found.stderr == ""


def test_workers_that_do_not_end_in_time_do_not_hide_how_the_run_ended(tmp_path: Path) -> None:
    ended = []

    def hang() -> None:
        raise TimeoutError("timed out after 30 s.")

    class Slow(DaskPool):
        def start(self) -> Any:
            self._stack.callback(ended.append, "client")
            self._stack.callback(hang)
            return SimpleNamespace(subscribe_topic=lambda topic, told: None)

        def alive(self) -> int:
            return 0

    job = Job(str(tmp_path / "o.zarr"), 1, True, 0, lambda: False)
    with pytest.raises(Stopped, match="stopped by SIGTERM"), Slow(job, 1, 60.0):
        raise Stopped("stopped by SIGTERM")
    assert ended == ["client"]


def test_a_block_of_which_nobody_told_that_it_is_done_comes_back_and_keeps_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its acknowledgement was lost: it is done again, and what the others told is taken at once."""
    lost = tmp_path / "lost"
    monkeypatch.setattr(cluster, "do_and_tell", partial(idle.forget_to_tell, str(lost)))
    run_directory(tmp_path / "o.zarr").mkdir()
    job = Job(str(tmp_path / "o.zarr"), 1, True, 0, lambda: False)
    done: list[tuple[int, str]] = []
    with Processes(job, 1, 60.0) as pool:
        for k in range(4):
            pool.submit(Block(k, k, k + 1), None)
        toy.wait_until(
            lambda: done.extend((one.block.index, str(one.error or "")) for one in pool.collect(0.1)) or len(done) == 4
        )
        assert sorted(done) == [(0, ""), (1, "nobody told that it was done"), (2, ""), (3, "")]
        assert lost.read_text() == "1"
        pool.submit(Block(1, 1, 2), None)
        toy.wait_until(lambda: [one for one in pool.collect(0.1) if one.error is None])


@pytest.mark.long
def test_what_is_kept_of_blocks_does_not_grow_with_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dask.utils import key_split

    n_blocks = 300
    monkeypatch.setattr(cluster, "do_and_tell", idle.do_and_tell)
    monkeypatch.setattr(cluster, "_KEYS", 100)
    run_directory(tmp_path / "o.zarr").mkdir()
    job = Job(str(tmp_path / "o.zarr"), 1, True, 0, lambda: False)
    done: list[int] = []
    kept = 0

    def take(ack: Any) -> None:
        nonlocal kept
        done.append(ack.block)
        if len(done) == n_blocks:
            # By their exact type: among all objects there are references to others that are gone.
            kept = sum(
                type(one) is Block or (type(one) is dict and one == {"type": "Future"}) for one in gc.get_objects()
            )

    with Processes(job, 2, 60.0) as pool:
        dispatch(pool, (Block(k, k, k + 1) for k in range(n_blocks)), Stop(), take, lambda note: None, 60.0)
    assert sorted(done) == list(range(n_blocks))
    assert kept < n_blocks // 3
    assert key_split.cache_info().currsize < n_blocks
