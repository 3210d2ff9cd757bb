"""A real HTCondor of one machine, for the tests alone: own folder, own port, loopback only, run by this user."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

_CONFIG = """\
RELEASE_DIR = /usr
LOCAL_DIR = {folder}
LOG = {folder}/log
SPOOL = {folder}/spool
EXECUTE = {folder}/execute
LOCK = {folder}/lock
RUN = {folder}/run
SBIN = {sbin}
BIN = /usr/bin
LIB = /usr/lib/condor
LIBEXEC = /usr/libexec/condor
CONDOR_HOST = 127.0.0.1
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = false
SHARED_PORT_PORT = {port}
COLLECTOR_HOST = 127.0.0.1:{port}
DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD, STARTD
UID_DOMAIN = stemdask.test
FILESYSTEM_DOMAIN = stemdask.test
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = *
ALLOW_ADMINISTRATOR = *
ALLOW_NEGOTIATOR = *
NUM_CPUS = 8
MEMORY = 12000
use feature : PartitionableSlot
START = true
SUSPEND = false
PREEMPT = false
KILL = false
NEGOTIATOR_INTERVAL = 3
NEGOTIATOR_CYCLE_DELAY = 2
NEGOTIATOR_MIN_INTERVAL = 1
SCHEDD_INTERVAL = 5
PERIODIC_EXPR_INTERVAL = 5
UPDATE_INTERVAL = 5
CLAIM_WORKLIFE = 0
"""


def missing() -> str | None:
    """Return why there can be no HTCondor here, or None."""
    if os.geteuid() == 0:
        return "HTCondor runs no jobs of root: run these tests as an ordinary user"
    if shutil.which("condor_master", path=_path()) is None:
        return "not installed: condor, a package of Debian 13"
    return None


class PrivateHTCondor:
    """The daemons, started and stopped; `environment` makes a client talk to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"CONDOR_CONFIG": str(folder / "config")}

    def start(self) -> None:
        """Start the master with its daemons; raise RuntimeError where the machine doesn't come up."""
        for name in ("log", "spool", "execute", "lock", "run"):
            (self.folder / name).mkdir()
        master = shutil.which("condor_master", path=_path())
        assert master is not None
        text = _CONFIG.format(folder=self.folder, port=_free_port(), sbin=Path(master).parent)
        (self.folder / "config").write_text(text)
        self.client(master, "-pidfile", str(self.folder / "master.pid"))
        end = time.monotonic() + 120
        while "slot1" not in self.client("condor_status", "-autoformat", "Name", check=False):
            if time.monotonic() > end:
                raise RuntimeError("HTCondor did not come up")
            time.sleep(0.5)

    def client(self, *command: str, check: bool = True) -> str:
        """Run a client command and return what it prints."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
        return done.stdout

    def jobs(self) -> list[str]:
        """Return the ids of the jobs in the queue."""
        return self.client("condor_q", "-autoformat", "ClusterId").split()

    def stop(self) -> None:
        """End every job and every daemon."""
        self.client("condor_rm", "-all", check=False)
        with contextlib.suppress(OSError, ValueError):
            master = int((self.folder / "master.pid").read_text())
            os.kill(master, signal.SIGQUIT)  # it ends its daemons at once
            end = time.monotonic() + 60
            while Path(f"/proc/{master}").exists() and time.monotonic() < end:
                time.sleep(0.2)
            os.kill(master, signal.SIGKILL)


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
