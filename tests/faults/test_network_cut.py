"""A network that is away for a minute, between two real namespaces: the driver in one, its workers in the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import toy
from told import fault

from stemdask.config.document import Document
from stemdask.engine.run import execute

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(400)]

#: Name of both ends of the link, each in its own namespace: workers take the interface of their driver's config.
LINK, OTHER, PEER = f"cut{os.getpid() % 10**6}", f"stemdask{os.getpid()}", f"per{os.getpid() % 10**6}"
#: In the place of srun: starts what stands behind its options in the other namespace.
SRUN = f"""\
#!/bin/bash
while [ "$1" != bash ]; do case $1 in --output=*) log=${{1#--output=}};; esac; shift; done
exec ip netns exec {OTHER} "$@" >>"$log" 2>&1
"""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Join two namespaces, in the other of which srun starts workers; skips where there can be none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("namespaces of the network need root and iproute2")
    try:
        _ip("netns", "add", OTHER)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no namespace of the network can be made: {error.stderr.strip()}")
    try:
        _ip("link", "add", LINK, "type", "veth", "peer", "name", PEER, "netns", OTHER)
        _ip("-n", OTHER, "link", "set", PEER, "name", LINK)
        for where, host in (([], 1), (["-n", OTHER], 2)):
            _ip(*where, "addr", "add", f"10.213.77.{host}/30", "dev", LINK)
            _ip(*where, "link", "set", LINK, "up")
            _ip(*where, "link", "set", "lo", "up")
        srun = tmp_path / "bin" / "srun"
        srun.parent.mkdir()
        srun.write_text(SRUN)
        srun.chmod(0o755)
        monkeypatch.setenv("PATH", f"{srun.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "1")
        monkeypatch.setenv("SLURM_NTASKS", "2")
        yield LINK
    finally:
        subprocess.run(["ip", "link", "del", LINK], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", OTHER], check=False, capture_output=True)


def test_a_network_that_is_away_for_a_minute_costs_no_worker_and_no_frame(
    link: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    frames, store = toy.write_frames(tmp_path / "frames.npy", 48), tmp_path / "cut.zarr"
    cluster = {"kind": "allocation", "workers": 2, "interface": link, "workers_timeout": 200}
    limits = {"isolate": True, "frame_seconds": 600.0}
    driver = toy.drive(toy.config(frames, store, cluster, params=toy.pausing(store, 4), limits=limits))
    toy.wait_until(lambda: toy.blocks_done(store) >= 4)
    _ip("link", "set", link, "down")
    time.sleep(60)
    toy.go_on(store)
    _ip("link", "set", link, "up")
    assert driver.wait(200) == 0, toy.words_of(store)
    execute(Document(toy.config(frames, tmp_path / "alone.zarr")))
    assert toy.contents(store) == toy.contents(tmp_path / "alone.zarr")
    assert toy.frames_done_twice(store, {driver.pid}) == 0
    log = (tmp_path / "cut.stemdask" / "log").read_text()
    assert "is over" not in log, "both workers went on"
    record_property("figure", fault([0], 0))
