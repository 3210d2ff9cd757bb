"""Another user of the machine can't join a run, nor look into it: tried as that user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import toy
import verbs

from stemdask.engine.workers import keys
from stemdask.store.layout import run_directory

pytestmark = pytest.mark.processes

NOBODY = 65534
#: Becomes another user, tries to speak to Dask behind each port and to read files, and tells what came of it. All is
#: imported before: another user need not be allowed to read this Python.
INTRUDER = """\
import asyncio, itertools, json, os, sys
from distributed import Security
from distributed.core import connect

own = Security.temporary().get_connection_args("client")

async def join(port, protocol):
    comm = await connect(f"{protocol}://127.0.0.1:{port}", timeout=10, **(own if protocol == "tls" else {}))
    await comm.write({"op": "identity", "reply": True})
    return [port, protocol, (await comm.read())["type"]]

async def join_all():
    ways = [asyncio.wait_for(join(*way), 20) for way in itertools.product(ports, ("tcp", "tls"))]
    return await asyncio.gather(*ways, return_exceptions=True)

def may_read(name):
    try:
        os.listdir(name) if os.path.isdir(name) else open(name, "rb").read(1)
    except OSError:
        return False
    return True

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
ports, files = json.loads(sys.argv[1])
joined = [found for found in asyncio.run(join_all()) if isinstance(found, list)]
print(json.dumps([os.getuid(), joined + [name for name in files if may_read(name)]]), flush=True)
os._exit(0)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder into which everybody may look; only the files of a run are closed."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user takes root")
    folder = Path(tempfile.mkdtemp(prefix="stemdask-users-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _intrude(folder: Path, ports: list[int], files: list[Path]) -> list[object]:
    """Return what another user got."""
    command = [sys.executable, "-c", INTRUDER, json.dumps([ports, [str(path) for path in files]])]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=200, check=True)
    uid, got = json.loads(done.stdout)
    assert uid == NOBODY
    return list(got)


def _ports(pid: int) -> list[int]:
    family = {pid, *(one.pid for one in psutil.Process(pid).children(recursive=True))}
    found = [one for one in psutil.net_connections("inet") if one.pid in family and one.status == psutil.CONN_LISTEN]
    return sorted({one.laddr.port for one in found})


@pytest.mark.parametrize("umask", [0o000, pytest.param(0o022, marks=pytest.mark.slow)])
def test_another_user_can_neither_join_a_run_nor_read_its_files(folder: Path, umask: int) -> None:
    store = folder / "o.zarr"
    before = os.umask(umask)
    try:
        frames = toy.write_frames(folder / "f.npy", 40)
        driver = toy.drive(toy.config(frames, store, cluster="processes", params=toy.pausing(store)))
    finally:
        os.umask(before)
    try:
        toy.wait_until(lambda: toy.blocks_done(store) >= 2)
        of_the_run = [run_directory(store), *run_directory(store).rglob("*")]
        ports = _ports(driver.pid)
        assert len(ports) >= 3, "a scheduler, two workers"
        assert _intrude(folder, ports, [*of_the_run, frames]) == [str(frames)]
        assert run_directory(store).stat().st_mode & 0o777 == 0o700
    finally:
        driver.kill()
        driver.wait()


def test_keys_are_of_one_run_and_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys.make(tmp_path / "tls")
        keys.make(tmp_path / "next")
    finally:
        os.umask(before)
    assert (tmp_path / "tls/key.pem").read_text() != (tmp_path / "next/key.pem").read_text()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "tls", *(tmp_path / "tls").iterdir())}
    assert modes == {"tls": 0o700, "ca.pem": 0o600, "cert.pem": 0o600, "key.pem": 0o600}


def test_another_user_gets_into_a_cluster_of_which_nothing_is_encrypted(folder: Path) -> None:
    """Or the test above could not fail."""
    import distributed

    with distributed.LocalCluster(
        n_workers=0, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as cluster:  # a scheduler alone, in this process
        port = int(cluster.scheduler_address.rpartition(":")[2])
        got = _intrude(folder, [port], [])
        assert got == [[port, "tcp", "Scheduler"]]


def _all_of(folder: Path) -> dict[str, object]:
    """Return each file below a folder with its bytes, mode and times."""
    states = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        states[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, status.st_ino, content)
    return states


@pytest.fixture(params=[0o077, 0o022], ids=["closed", "readable"])
def others_store(folder: Path, request: pytest.FixtureRequest) -> Path:
    """A complete store that is its owner's alone, or that everybody may read."""
    before = os.umask(request.param)
    try:
        frames = toy.write_frames(folder / "f.npy", 8)
        assert verbs.do("run", data=toy.config(frames, folder / "o.zarr", limits={"isolate": False})) == 0
    finally:
        os.umask(before)
    return folder / "o.zarr"


def test_a_store_of_another_user_is_read_as_far_as_its_owner_lets_and_never_changed(
    others_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(tempfile.mkdtemp(prefix="stemdask-own-"))
    own.chmod(0o777)
    monkeypatch.setenv("TOY_UID", str(NOBODY))
    monkeypatch.setenv("TMPDIR", str(own))
    store, readable = others_store, bool(others_store.stat().st_mode & 0o004)
    data = toy.config(store.parent / "f.npy", store, limits={"isolate": False})
    extended = data | {"analyses": data["analyses"] | {"brightness": {}}}
    ways: list[tuple[str, dict[str, Any], bool]] = [
        ("run", {"data": data}, False),
        ("run", {"data": extended}, False),
        ("repair", {"store": str(store)}, False),
        ("pack", {"store": str(store)}, False),
        ("export", {"store": str(store), "to": str(store.parent / "out")}, False),
        ("report", {"store": str(store), "to": str(store.parent / "report.html")}, False),
        ("verify", {"store": str(store)}, readable),
        ("export", {"store": str(store), "to": str(own / "out")}, readable),
        ("report", {"store": str(store), "to": str(own / "report.html")}, readable),
        ("figures", {"store": str(store), "to": str(own / "figures")}, readable),
        ("view", {"store": str(store), "frame": 1}, readable),
    ]
    before = _all_of(store.parent)
    try:
        for number, (verb, given, works) in enumerate(ways):
            words = tmp_path / f"{number}"
            process = verbs.start(verb, words, **given)
            process.join(240)
            said = words.read_text()
            assert (process.exitcode == 0) == works, (verb, given, process.exitcode, said)
            if not works:
                assert process.exitcode in (2, 4, 5, 74), (verb, process.exitcode, said)
                assert said.count("\n") == 1, said
                assert "damaged" not in said
            assert _all_of(store.parent) == before, verb
    finally:
        shutil.rmtree(own)
