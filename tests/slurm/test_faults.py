"""The fault table: what happens to a run on a real SLURM that meets each everyday fault while it is at work.

Every row ends with the bytes of an undisturbed run, no job left in the queue, and no more frames done twice than the
fault took with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import debian
import psutil
import pytest
import toy
from private_slurm import PrivateSlurm
from told import fault
from wrapped import Wrapped

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(400)]

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
FRAMES = 48
BLOCK = 4
REFUSED = 'echo "sbatch: error: Batch job submission failed: Requested node configuration is not available" >&2; exit 1'
FULL = """\
if [ "$(squeue --me --noheader --states=PENDING,RUNNING | wc -l)" -ge 1 ]; then
    echo "sbatch: error: AssocMaxSubmitJobLimit" >&2
    echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)" >&2
    exit 1
fi"""


class Run:
    """A driver with two workers that pauses once two blocks are done, and what it meets then."""

    def __init__(
        self, slurm: PrivateSlurm, frames: Path, folder: Path, commands: Wrapped, tell: Callable[[str, object], None]
    ) -> None:
        self.slurm, self.frames, self.commands, self._tell = slurm, frames, commands, tell
        self.store = folder / "toy.zarr"
        self.log = folder / "toy.stemdask" / "log"
        self.data: dict[str, Any] = {}
        self.drivers: set[int] = set()
        self._codes: list[int] = []

    def start(self, *, paused: bool = True, after: int = 2, **cluster: Any) -> None:
        """Start the driver; where it pauses, wait for that and for its workers."""
        small = {"interface": "lo", "memory": "1200 MiB", "walltime": "00:10:00", "poll_seconds": 1}
        chosen = {"kind": "slurm", "workers": 2, "workers_timeout": 120} | small | cluster
        limits = {"isolate": True, "frame_seconds": 600.0}
        self.data = toy.config(self.frames, self.store, chosen, params=toy.pausing(self.store, after), limits=limits)
        self.drive()
        if paused:
            toy.wait_until(lambda: toy.blocks_done(self.store) >= 2)
            toy.wait_until(lambda: self.connected() == chosen["workers"])

    def drive(self) -> None:
        """Start a driver of the same config, the first one or the next."""
        self.driver = toy.drive(self.data)
        self.drivers.add(self.driver.pid)

    def jobs(self, states: str) -> list[str]:
        """Return the ids of the jobs of this SLURM in some states, whatever the driver's squeue is told to do."""
        listed = self.slurm.client(_real("squeue"), "--noheader", f"--states={states}", "--format=%i", check=False)
        return listed.split()

    def connected(self) -> int:
        """Count the workers that the driver has heard of: a job may run well before its worker does."""
        written = self.log.with_name("jobs.json")
        return sum(job["present"] for job in json.loads(written.read_text())["jobs"]) if written.exists() else 0

    def processes(self) -> list[psutil.Process]:
        """Return the processes of its workers."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if f"{self.store.with_suffix('.stemdask')}/scheduler.json" in process.cmdline():
                    found.append(process)
        return found

    def says(self, text: str, times: int = 1) -> None:
        """Wait for the log to say something."""
        toy.wait_until(lambda: self.log.exists() and self.log.read_text().count(text) >= times)

    def stopped(self, code: int) -> None:
        """Wait for the driver to end before its work is done."""
        assert self.driver.wait(120) == code, toy.words_of(self.store)
        self._codes.append(code)

    def cancel_one(self) -> str:
        """Cancel a worker's job, and wait until the driver knows."""
        victim = self.jobs("RUNNING")[0]
        self.slurm.client("scancel", victim)
        self.says(f"job {victim} of slot")
        return victim

    def ends(self, undisturbed: dict[str, bytes], *, twice: int, seconds: float = 250) -> str:
        """Let it go on to its end; check what must hold and return its log."""
        toy.go_on(self.store)
        assert self.driver.wait(seconds) == 0, f"{toy.words_of(self.store)}\n{self.log.read_text()}"
        assert toy.contents(self.store) == undisturbed
        assert self.jobs("PENDING,RUNNING,SUSPENDED,CONFIGURING") == [], "a ghost is left"
        again = toy.frames_done_twice(self.store, self.drivers)
        assert again <= twice
        self._tell("figure", fault([*self._codes, 0], again))
        return self.log.read_text()


@pytest.fixture
def run(
    slurm: PrivateSlurm,
    frames: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> Iterator[Run]:
    commands = Wrapped(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{commands.folder}{os.pathsep}{os.environ['PATH']}")
    found = Run(slurm, frames, tmp_path, commands, record_property)
    yield found
    if found.data and found.driver.poll() is None:
        found.driver.kill()
        found.driver.wait()
    slurm.client("scancel", "--me", check=False)


def test_nothing_happens(run: Run, undisturbed: dict[str, bytes]) -> None:
    """The control: no frame is done twice, the log is clean, and the jobs end as completed ones."""
    run.start()
    ours = run.jobs("RUNNING")
    text = run.ends(undisturbed, twice=0)
    assert not [word for word in ("Traceback", "ERROR", "WARNING stemdask") if word in text]
    states = run.slurm.client("squeue", "--noheader", "--states=all", f"--jobs={','.join(ours)}", "--format=%T")
    assert states.split() == ["COMPLETED", "COMPLETED"]


def test_sbatch_refuses_for_a_while(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    run.commands.does("sbatch", REFUSED)
    run.cancel_one()
    run.says("trying again in 15 s")
    run.commands.does("sbatch", "")
    text = run.ends(undisturbed, twice=BLOCK)
    assert "Requested node configuration is not available" in text


@pytest.mark.slow
def test_sbatch_fails_from_then_on(run: Run, undisturbed: dict[str, bytes]) -> None:
    """The workers that live do all of it."""
    run.start()
    run.commands.does("sbatch", "exit 1")
    run.cancel_one()
    run.ends(undisturbed, twice=BLOCK)


@pytest.mark.slow
def test_sbatch_hangs_though_it_made_a_job(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    run.commands.does("sbatch", f'{_real("sbatch")} "$@" >/dev/null; exec sleep 600')
    run.cancel_one()
    run.says("did not answer within 30 s")
    run.commands.does("sbatch", "")
    run.says("whose submission gave no answer")
    run.ends(undisturbed, twice=BLOCK)


@pytest.mark.slow
def test_blocks_are_taken_while_sbatch_hangs(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    run.commands.does("sbatch", "exec sleep 600")
    before = run.commands.calls("sbatch")
    run.cancel_one()
    toy.wait_until(lambda: run.commands.calls("sbatch") > before)
    toy.go_on(run.store)
    toy.wait_until(lambda: toy.blocks_done(run.store) == FRAMES // BLOCK, 25)
    run.ends(undisturbed, twice=BLOCK)


@pytest.mark.slow
def test_a_limit_on_submitted_jobs(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.commands.does("sbatch", FULL)
    run.start(paused=False)
    run.says("accepts no more jobs: sbatch: error: AssocMaxSubmitJobLimit")
    assert len(run.jobs("PENDING,RUNNING")) == 1
    run.ends(undisturbed, twice=0)


@pytest.mark.slow
def test_squeue_is_slow_and_fails_every_other_time(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.commands.does("squeue", 'sleep 2; [ $(($(wc -l <"$0.calls") % 2)) = 0 ] || exit 1')
    run.start()
    run.cancel_one()
    run.ends(undisturbed, twice=BLOCK)


@pytest.mark.slow
def test_squeue_answers_nothing_at_all_any_more(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    run.commands.does("squeue", "exit 1")
    run.ends(undisturbed, twice=0)


@pytest.mark.slow
def test_scancel_does_nothing(run: Run, undisturbed: dict[str, bytes]) -> None:
    """Workers end by themselves."""
    run.commands.does("scancel", "exit 0")
    run.start()
    run.ends(undisturbed, twice=0)


@pytest.mark.slow
def test_slurmctld_is_away_for_a_minute(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    controller = psutil.Process(int((run.slurm.folder / "slurmctld.pid").read_text()))
    controller.suspend()
    try:
        time.sleep(60)
    finally:
        controller.resume()
    run.cancel_one()
    run.ends(undisturbed, twice=BLOCK)


@pytest.mark.slow
def test_a_worker_stands_still(run: Run, undisturbed: dict[str, bytes]) -> None:
    """Its job runs, and its connection is open."""
    run.start(replace_after=10)
    victim = run.jobs("RUNNING")[0]
    run.slurm.client("scancel", "--signal=STOP", "--full", victim)
    run.says(f"job {victim} of slot")
    text = run.ends(undisturbed, twice=BLOCK)
    assert "did not respond for 10 s" in text


@pytest.mark.slow
def test_a_worker_is_killed(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    victim = run.jobs("RUNNING")[0]
    run.slurm.client("scancel", "--signal=KILL", "--full", victim)
    run.says(f"job {victim} of slot")
    run.ends(undisturbed, twice=BLOCK)


@pytest.mark.slow
def test_both_workers_are_killed_at_once(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    victims = run.jobs("RUNNING")
    run.slurm.client("scancel", "--signal=KILL", "--full", *victims)
    for victim in victims:
        run.says(f"job {victim} of slot")
    run.ends(undisturbed, twice=2 * BLOCK)


@pytest.mark.slow
def test_the_only_worker_is_cancelled_five_times(run: Run, undisturbed: dict[str, bytes]) -> None:
    """With the same block at hand, which isn't suspected for that."""
    run.start(workers=1)
    for attempt in range(2, 7):
        victim = run.cancel_one()
        run.says(f", attempt {attempt}")
        toy.wait_until(lambda gone=victim: run.jobs("RUNNING") not in ([], [gone]) and run.connected() == 1)
    text = run.ends(undisturbed, twice=5 * BLOCK)
    assert text.count("of slot 0 is over: CANCELLED") == 5


@pytest.mark.slow
def test_jobs_of_a_higher_partition_take_the_nodes_for_a_while(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    preempted = run.jobs("RUNNING")
    with _held_back(run.slurm, "--partition=urgent"):
        for victim in preempted:
            run.says(f"job {victim} of slot")
        toy.wait_until(lambda: len(run.jobs("PENDING")) == 2)
    text = run.ends(undisturbed, twice=2 * BLOCK)
    assert text.count("is over: PREEMPTED") == 2


@pytest.mark.slow
def test_jobs_are_cancelled_while_they_wait(run: Run, undisturbed: dict[str, bytes]) -> None:
    with _held_back(run.slurm):
        run.start(paused=False)
        toy.wait_until(lambda: len(run.jobs("PENDING")) == 2)
        run.slurm.client("scancel", *run.jobs("PENDING"))
        run.says(", attempt 2", times=2)
    run.ends(undisturbed, twice=0)


@pytest.mark.slow
def test_a_node_is_drained(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    run.slurm.client("scontrol", "update", "nodename=node2", "state=drain", "reason=test")
    try:
        run.cancel_one()
        run.ends(undisturbed, twice=BLOCK)
    finally:
        run.slurm.client("scontrol", "update", "nodename=node2", "state=resume")


@pytest.mark.slow
def test_a_node_dies(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start(workers=4)
    run.slurm.kill_node("node2")
    try:
        run.ends(undisturbed, twice=2 * BLOCK)
    finally:
        run.slurm.revive_node("node2")


@pytest.mark.slow
def test_a_node_is_given_up_whose_workers_go_on(run: Run, undisturbed: dict[str, bytes]) -> None:
    """Their jobs are replaced, and they are told to close: no block has two statuses."""
    run.start(workers=4)
    there = run.processes()
    assert len(there) >= 4
    run.slurm.lose_node("node2")
    try:
        run.says("is over: NODE_FAIL on node2", times=2)
        run.ends(undisturbed, twice=2 * BLOCK)
        assert psutil.wait_procs(there, 30)[1] == []
    finally:
        run.slurm.revive_node("node2")


@pytest.mark.slow
def test_the_partition_goes_down(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    run.slurm.client("scontrol", "update", "partitionname=normal", "state=down")
    try:
        run.cancel_one()
        run.says(", attempt 2")
        time.sleep(6)  # more looks than a reason that can't pass may last
        run.ends(undisturbed, twice=BLOCK)
    finally:
        run.slurm.client("scontrol", "update", "partitionname=normal", "state=up")


@pytest.mark.slow
def test_slurmd_is_restarted(run: Run, undisturbed: dict[str, bytes]) -> None:
    """Jobs go on without it."""
    run.start()
    run.slurm.lose_node("node1")
    time.sleep(1)
    run.slurm.start_node("node1")
    run.ends(undisturbed, twice=2 * BLOCK)


@pytest.mark.slow
def test_the_driver_is_killed(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    run.driver.kill()
    run.stopped(-signal.SIGKILL)
    toy.go_on(run.store)
    run.drive()
    run.ends(undisturbed, twice=2 * BLOCK)


@pytest.mark.slow
def test_the_driver_is_told_to_stop(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    run.driver.terminate()
    run.stopped(75)
    assert run.jobs("PENDING,RUNNING") == []
    toy.go_on(run.store)
    run.drive()
    run.ends(undisturbed, twice=2 * BLOCK)


@pytest.mark.slow
def test_jobs_that_wait_outlive_a_driver_that_comes_back(
    run: Run, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMDASK_COMES_BACK", "1")
    with _held_back(run.slurm):
        run.start(paused=False)
        toy.wait_until(lambda: len(run.jobs("PENDING")) == 2)
        waiting = run.jobs("PENDING")
        run.driver.terminate()
        run.stopped(75)
        assert run.jobs("PENDING") == waiting, "they keep their place"
        run.drive()
        run.says("of an earlier driver stands for slot", times=2)
    run.ends(undisturbed, twice=0)
    assert run.commands.calls("sbatch") == 1 + 2 + 2, "what holds them back, two jobs, and a rehearsal of each driver"


@pytest.mark.slow
def test_a_worker_waits_for_a_driver_that_is_on_its_way(
    run: Run, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMDASK_COMES_BACK", "1")
    with _held_back(run.slurm):
        run.start(paused=False)
        toy.wait_until(lambda: len(run.jobs("PENDING")) == 2)
        run.driver.terminate()
        run.stopped(75)
    toy.wait_until(lambda: len(run.jobs("RUNNING")) == 2)
    run.drive()
    run.says("stands for slot", times=2 + 2)
    run.ends(undisturbed, twice=0)


@pytest.mark.slow
def test_the_driver_is_frozen_for_150_seconds(run: Run, undisturbed: dict[str, bytes]) -> None:
    run.start()
    ours = run.jobs("RUNNING")
    process = psutil.Process(run.driver.pid)
    process.suspend()
    try:
        time.sleep(150)
    finally:
        process.resume()
    run.says("stood still for")
    time.sleep(5)
    assert run.jobs("RUNNING") == ours, "no worker was given up"
    run.ends(undisturbed, twice=0)


@pytest.mark.slow
def test_a_worker_goes_back_into_the_queue(run: Run, undisturbed: dict[str, bytes]) -> None:
    """By the hand of an administrator: workers' jobs ask not to be."""
    run.start()
    victim = run.jobs("RUNNING")[0]
    run.slurm.client("scontrol", "update", f"jobid={victim}", "requeue=1")
    run.slurm.client("scontrol", "requeue", victim)
    toy.wait_until(lambda: run.jobs("PENDING") == [victim])
    run.slurm.client("scontrol", "update", f"jobid={victim}", "StartTime=now+3", check=False)
    run.ends(undisturbed, twice=BLOCK)


@pytest.mark.slow
def test_jobs_follow_the_work_between_the_least_and_the_most(run: Run, undisturbed: dict[str, bytes]) -> None:
    """All of them while there is enough to do, one for the last block."""
    run.start(paused=False, after=FRAMES // BLOCK - 1, workers={"min": 1, "max": 4})
    toy.wait_until(lambda: len(run.jobs("RUNNING")) == 4)
    toy.wait_until(lambda: toy.blocks_done(run.store) == FRAMES // BLOCK - 1)
    toy.wait_until(lambda: len(run.jobs("PENDING,RUNNING")) == 1)
    run.ends(undisturbed, twice=0)


@pytest.mark.slow
def test_clocks_of_nodes_are_wrong(run: Run, undisturbed: dict[str, bytes]) -> None:
    """By an hour, which a certificate that is valid from now on doesn't survive."""
    if reason := debian.missing(["faketime"], there=FAKETIME.exists()):
        pytest.skip(reason)
    wrong = {"LD_PRELOAD": FAKETIME, "FAKETIME": "-3600", "FAKETIME_DONT_FAKE_MONOTONIC": 1}
    run.start(prologue=[f"export {name}={value}" for name, value in wrong.items()])
    text = run.ends(undisturbed, twice=0)
    said = re.search(r"waited (-?\d+) s for a worker", text)
    assert said is not None
    assert 0 <= int(said[1]) < 250


def _real(name: str) -> str:
    return subprocess.run(["which", "-a", name], capture_output=True, text=True, check=True).stdout.split()[-1]


class _held_back:
    """No job starts meanwhile, but for those of a higher partition."""

    def __init__(self, slurm: PrivateSlurm, *where: str) -> None:
        self._slurm, self._where = slurm, where

    def __enter__(self) -> None:
        self._hog = self._slurm.client(
            "sbatch", "--parsable", "--nodes=2", "--exclusive", "--output=/dev/null", "--job-name=hog", "--wrap",
            "exec sleep 600", *self._where,
        ).strip()  # fmt: skip
        running: Callable[[], str] = lambda: self._slurm.client(  # noqa: E731
            "squeue", "--noheader", "--states=RUNNING", f"--jobs={self._hog}", check=False
        )
        toy.wait_until(running)

    def __exit__(self, *exception: object) -> None:
        self._slurm.client("scancel", self._hog)
