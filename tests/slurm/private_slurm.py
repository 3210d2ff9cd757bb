"""A real SLURM of a few nodes on this machine, for the tests alone: own folder, own ports, loopback only."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import debian
import psutil

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
NODES = ("node1", "node2")
#: Where the memory of jobs can be limited by the kernel, which only cgroups of the first version do here.
CGROUPS = Path("/sys/fs/cgroup")
#: States of a node that answers; one that was killed goes on ending its old jobs for a while.
UP = {"idle", "mixed", "allocated", "completing"}

_CONFIG = """\
ClusterName=stemdasktest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/munge.sock
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SrunPortRange={first}-{last}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
{tracking}
JobAcctGatherType=jobacct_gather/none
PropagateResourceLimits=NONE
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
DefMemPerCPU=256
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=5
SlurmdTimeout={patience}
SlurmctldTimeout=10
MessageTimeout={patience}
MinJobAge=300
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
{nodes}
PartitionName=normal Nodes={names} Default=YES MaxTime=INFINITE DefaultTime=60 State=UP
PartitionName=short Nodes={names} MaxTime=1 DefaultTime=1 State=UP
PartitionName=closed Nodes={names} MaxTime=10 DefaultTime=1 State=DOWN
PartitionName=urgent Nodes={names} MaxTime=10 DefaultTime=1 PriorityTier=9 State=UP
"""


_BY_GROUPS = "ProctrackType=proctrack/pgid\nTaskPlugin=task/none"
_BY_CGROUPS = "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup"
_CGROUP = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint={mount}
CgroupAutomount=no
ConstrainRAMSpace=yes
ConstrainCores=no
ConstrainDevices=no
"""


def no_cgroups() -> str | None:
    """Return why memory can't be limited by the kernel here, or None."""
    there = all((CGROUPS / name / "cgroup.procs").exists() for name in ("freezer", "memory"))
    return None if there else "no cgroups of the first version here"


def missing() -> str | None:
    """Return why there can be no SLURM here, or None."""
    return debian.missing(PACKAGES, there=all(shutil.which(program) for program in PROGRAMS))


class PrivateSlurm:
    """The daemons, started and stopped; `environment` makes a client talk to them.

    With `cgroups` the kernel limits the memory of jobs; names of such nodes are those of their groups, and no two
    clusters at a time may share one. A node that doesn't answer for `patience` seconds is down.
    """

    def __init__(
        self, folder: Path, nodes: Sequence[str] = NODES, *, cpus: int = 2, cgroups: bool = False, patience: int = 10
    ) -> None:
        self.folder, self.nodes, self._cpus, self._cgroups, self._patience = folder, nodes, cpus, cgroups, patience
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._port = _free_port()

    def start(self) -> None:
        """Start munge, the controller and the nodes; raise RuntimeError where the nodes don't come up."""
        for name in ("munge", "state", *(f"spool/{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for place in (self.folder, *self.folder.parents):
            if place.stat().st_uid == 0 and place != Path("/"):
                place.chmod(place.stat().st_mode | 0o011)  # munge's clients must reach its socket
        (self.folder / "munge").chmod(0o711)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={self._port + 1 + k} "
            f"CPUs={self._cpus} RealMemory={4096 * self._cpus} State=UNKNOWN"
            for k, node in enumerate(self.nodes)
        )
        text = _CONFIG.format(
            host=socket.gethostname().split(".")[0],
            port=self._port,
            first=self._port + 20,
            last=self._port + 220,
            folder=self.folder,
            nodes=nodes,
            names=",".join(self.nodes),
            patience=self._patience,
            tracking=_BY_CGROUPS if self._cgroups else _BY_GROUPS,
        )
        if self._cgroups:
            (self.folder / "cgroup.conf").write_text(_CGROUP.format(mount=CGROUPS))
        (self.folder / "slurm.conf").write_text(text)
        munge = self.folder / "munge"
        files = {"socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munged.seed"}
        options = [f"--{option}={munge / name}" for option, name in files.items()]
        self._run(["munged", "--force", f"--key-file={key}", *options])
        self._run(["slurmctld", "-f", self.environment["SLURM_CONF"]])
        for node in self.nodes:
            self.start_node(node)
        self._wait_for_nodes()

    def start_node(self, node: str) -> None:
        """Start the daemon of one node."""
        self._run(["slurmd", "-f", self.environment["SLURM_CONF"], "-N", node])

    def lose_node(self, node: str) -> None:
        """Kill the daemon of one node: what runs there goes on, and nobody hears of it."""
        os.kill(int((self.folder / f"slurmd.{node}.pid").read_text()), signal.SIGKILL)

    def kill_node(self, node: str) -> None:
        """Kill the daemons of one node, and then what runs there, as a power cut would: nobody reports an end."""
        self.lose_node(node)
        markers = (f"SLURMD_NODENAME={node}\0".encode(), str(self.folder).encode())  # others have such nodes too
        there, above = [], set()
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                variables = Path(f"/proc/{process.pid}/environ").read_bytes()
                if process.pid != os.getpid() and all(marker in variables for marker in markers):
                    there.append(process)
                    above |= {parent for parent in process.parents() if parent.name() == "slurmstepd"}
        for process in (*above, *there):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def revive_node(self, node: str) -> None:
        """Start a killed node again and take it back."""
        self.start_node(node)
        self._wait_for_nodes(resumed=node)

    def client(self, *command: str, check: bool = True) -> str:
        """Run a client command and return what it prints."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=180, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def stop(self) -> None:
        """End every job and every daemon."""
        self.client("scancel", "--me", check=False)
        end = time.monotonic() + 120
        while self.client("squeue", "--noheader", check=False).strip() and time.monotonic() < end:
            time.sleep(0.2)
        for name in (*(f"slurmd.{node}.pid" for node in self.nodes), "slurmctld.pid", "munge/munged.pid"):
            try:
                os.kill(int((self.folder / name).read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                continue
        for group in CGROUPS.glob("*") if self._cgroups else ():
            for node in self.nodes:
                for path in sorted((group / f"slurm_{node}").rglob("*"), reverse=True):
                    if path.is_dir():
                        with contextlib.suppress(OSError):
                            path.rmdir()
                with contextlib.suppress(OSError):
                    (group / f"slurm_{node}").rmdir()

    def _wait_for_nodes(self, resumed: str | None = None) -> None:
        end = time.monotonic() + 180
        states = ""
        while time.monotonic() < end:
            if resumed is not None:  # refused while its daemon isn't known yet, or when it is up
                self.client("scontrol", "update", f"nodename={resumed}", "state=resume", check=False)
            states = self.client("sinfo", "--noheader", "--Node", "--partition=normal", "--format=%T", check=False)
            if len(states.split()) == len(self.nodes) and set(states.split()) <= UP:
                return
            time.sleep(0.2)
        raise RuntimeError(f"the nodes did not come up: {states}")

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr or done.stdout}")


def _free_port() -> int:
    """Return the first of a row of ports of which nobody seems to listen."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return min(port, 60_000)
