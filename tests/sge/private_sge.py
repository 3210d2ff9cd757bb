"""A real Grid Engine of one node on this machine, for the tests alone: own folder, own ports."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import debian

PACKAGES = ("gridengine-master", "gridengine-exec", "gridengine-client")
HOME = Path("/usr/lib/gridengine")
SHARE = Path("/usr/share/gridengine")
HOST = "localhost"

_BOOTSTRAP = """\
admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {common};{spool}
binary_path {home}
qmaster_spool_dir {spool}
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
_NODE = """\
hostname {host}
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
_QUEUE = {
    "qname": "all.q",
    "hostlist": HOST,
    "slots": "4",
    "shell": "/bin/sh",
    "load_thresholds": "NONE",
    "pe_list": "smp",
    "notify": "00:00:10",
}
_SMP = """\
pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""


def missing() -> str | None:
    """Return why there can be no Grid Engine here, or None."""
    return debian.missing(PACKAGES, there=(HOME / "sge_qmaster").exists() and shutil.which("qsub") is not None)


class PrivateSge:
    """The daemons, started and stopped; `environment` makes a client talk to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port = _free_port()
        self.environment = {
            "SGE_ROOT": str(folder),
            "SGE_CELL": "default",
            "SGE_QMASTER_PORT": str(port),
            "SGE_EXECD_PORT": str(port + 1),
            "SGE_CLUSTER_NAME": "stemdasktest",
        }
        self._daemons: list[int] = []

    def start(self) -> None:
        """Start master and node; raise RuntimeError where the node doesn't come up."""
        common, spool = self.folder / "default/common", self.folder / "spool/qmaster"
        for path in (common, spool / "job_scripts", self.folder / "spool/execd", self.folder / "util"):
            path.mkdir(parents=True)
        for path in SHARE.glob("util/arch*"):
            shutil.copy(path, self.folder / "util")
        (common / "bootstrap").write_text(_BOOTSTRAP.format(common=common, spool=spool, home=HOME))
        (common / "act_qmaster").write_text(f"{HOST}\n")
        (common / "host_aliases").write_text(f"{HOST} {socket.gethostname()}\n")
        text = (SHARE / "default-configuration").read_text()
        own = {"execd_spool_dir": self.folder / "spool/execd", "min_uid": 0, "min_gid": 0, "mailer": "/bin/true"}
        own["load_report_time"] = "00:00:02"
        for key, value in own.items():
            text = re.sub(rf"^{key}\s.*$", f"{key} {value}", text, flags=re.MULTILINE)
        conf = self._write("conf", text)
        self.client(str(HOME / "spoolinit"), "classic", "libspoolc", f"{common};{spool}", "init")
        for what, source in (
            ("configuration", conf),
            ("complexes", str(SHARE / "util/resources/centry")),
            ("usersets", str(SHARE / "util/resources/usersets")),
            ("managers", "root"),
        ):
            self.client(str(HOME / "spooldefaults"), what, source)
        self._start("sge_qmaster")
        self._wait(lambda: HOST in self.client("qconf", "-sh", check=False))
        self.client("qconf", "-as", HOST, check=False)
        self.client("qconf", "-Ae", self._write("node", _NODE.format(host=HOST)))
        self.client("qconf", "-Ap", self._write("smp", _SMP), check=False)
        template = self.client("qconf", "-sq")
        for key, value in _QUEUE.items():
            template = re.sub(rf"^{key}\s.*$", f"{key} {value}", template, flags=re.MULTILINE)
        self.client("qconf", "-Aq", self._write("queue", template))
        schedule = re.sub(r"schedule_interval\s.*", "schedule_interval 0:0:1", self.client("qconf", "-ssconf"))
        self.client("qconf", "-Msconf", self._write("schedule", schedule))
        self._start("sge_execd")
        self._wait(lambda: "mem_free=" in self.client("qhost", "-F", "mem_free", check=False))

    def client(self, *command: str, check: bool = True) -> str:
        """Run a client command and return what it prints."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
        return done.stdout

    def stop(self) -> None:
        """End every job and every daemon."""
        self.client("qdel", "-f", "-u", "*", check=False)
        with contextlib.suppress(RuntimeError):
            self._wait(lambda: not self.client("qstat", check=False).strip(), 30)
        for pid in reversed(self._daemons):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _start(self, name: str) -> None:
        self.client(str(HOME / name))
        place = {"sge_qmaster": "spool/qmaster/qmaster.pid", "sge_execd": "spool/execd/*/execd.pid"}[name]
        self._wait(lambda: any(path.read_text().strip() for path in self.folder.glob(place)))
        self._daemons += [int(path.read_text()) for path in self.folder.glob(place)]

    def _write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def _wait(self, true: object, seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while not true():  # type: ignore[operator]
            if time.monotonic() > end:
                raise RuntimeError("Grid Engine did not come up")
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return min(port, 60_000)
