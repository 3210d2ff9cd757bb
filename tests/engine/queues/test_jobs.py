"""What is made of the answers of a queue's commands; those of SLURM here are scripts that say what a test wants."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stemdask.engine.queues import jobs as queue_jobs
from stemdask.engine.queues.jobs import Full, Jobs, NoAnswer
from stemdask.engine.queues.queue import JobView, State
from stemdask.engine.queues.slurm import QUEUE
from stemdask.errors import ClusterError

pytestmark = pytest.mark.processes

NAME = "stemdask-abc-1-0-1"
_COMMAND = """\
#!/bin/sh
cd "{folder}"
n=$(($(cat {name}.calls 2>/dev/null || echo 0) + 1))
echo $n > {name}.calls
echo "$@" >> {name}.arguments
env > {name}.environment
{stdin}
{what}
"""


class FakeSlurm:
    """Commands of SLURM that do what a line of shell says; `$n` is the number of the call."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = patch
        self.says("sbatch", "echo 1")
        self.says("squeue", "true")
        self.says("scancel", "true")

    def says(self, name: str, what: str) -> None:
        """Let a command run a line of shell."""
        stdin = "cat > sbatch.script" if name == "sbatch" else ""
        path = self.folder / name
        path.write_text(_COMMAND.format(folder=self.folder, name=name, what=what, stdin=stdin))
        path.chmod(0o755)

    def hangs(self, name: str) -> None:
        """Let a command be given up as one that doesn't answer."""
        whole = subprocess.run

        def run(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
            done = whole(command, **how)
            if command[0] == name:
                raise subprocess.TimeoutExpired(command, how["timeout"])
            return done

        self.patch.setattr(subprocess, "run", run)

    def calls(self, name: str) -> int:
        """Return how often a command was called."""
        path = self.folder / f"{name}.calls"
        return int(path.read_text()) if path.exists() else 0

    def text(self, name: str) -> str:
        """Return what a command wrote down."""
        return (self.folder / name).read_text()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(queue_jobs, "BACK_OFF", (0.01, 0.01))
    return FakeSlurm(folder, monkeypatch)


@pytest.fixture
def jobs(fake: FakeSlurm) -> Jobs:
    return Jobs(QUEUE, "stemdask-abc-1-")


def listed(number: int, name: str = NAME, state: str = "RUNNING", reason: str = "None", left: str = "10:00") -> str:
    return f"echo '{number}|{name}|{state}|{reason}|node1|{left}'"


def test_a_submission_without_an_answer_is_not_taken_for_a_refusal(fake: FakeSlurm, jobs: Jobs) -> None:
    fake.hangs("sbatch")
    with pytest.raises(NoAnswer, match="no answer"):
        jobs.submit("#!/bin/sh\n", NAME)


def test_a_patient_submission_without_an_answer_is_found_by_its_name_and_not_repeated(
    fake: FakeSlurm, jobs: Jobs
) -> None:
    fake.hangs("sbatch")
    fake.says("squeue", listed(41, "another") + "; " + listed(42))
    assert jobs.submit_patiently("#!/bin/sh\n", NAME) == "42"
    assert fake.calls("sbatch") == 1


def test_a_submission_without_an_answer_is_not_repeated_before_the_queue_answers(fake: FakeSlurm, jobs: Jobs) -> None:
    fake.hangs("sbatch")
    fake.says("squeue", f"[ $n -lt 2 ] && exit 1; {listed(7)}")
    assert jobs.submit_patiently("#!/bin/sh\n", NAME) == "7"
    assert (fake.calls("sbatch"), fake.calls("squeue")) == (1, 2)


def test_an_answer_that_is_no_id_is_looked_up(fake: FakeSlurm, jobs: Jobs) -> None:
    fake.says("sbatch", "echo '1; rm -rf x'")
    assert jobs.submit_patiently("#!/bin/sh\n", NAME) == "1", "sbatch --parsable says 'id;cluster'"
    fake.says("sbatch", "echo 'Welcome to the cluster!'")
    fake.says("squeue", listed(9))
    assert jobs.submit_patiently("#!/bin/sh\n", NAME) == "9"


def test_a_passing_error_is_tried_again(fake: FakeSlurm, jobs: Jobs) -> None:
    busy = "echo 'sbatch: error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
    fake.says("sbatch", f"[ $n -lt 3 ] && {{ {busy}; }}; echo 77")
    assert jobs.submit_patiently("#!/bin/sh\n", NAME) == "77"
    assert fake.calls("sbatch") == 3


def test_a_passing_error_that_stays_ends_with_its_words(fake: FakeSlurm, jobs: Jobs) -> None:
    fake.says("sbatch", "echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1")
    with pytest.raises(NoAnswer, match="Socket timed out"):
        jobs.submit_patiently("#!/bin/sh\n", NAME)
    assert fake.calls("sbatch") == 3


def test_a_refusal_is_raised_at_once_with_its_words(fake: FakeSlurm, jobs: Jobs) -> None:
    fake.says("sbatch", "echo 'sbatch: error: Invalid account or account/partition combination' >&2; exit 1")
    with pytest.raises(ClusterError, match="Invalid account") as caught:
        jobs.submit_patiently("#!/bin/sh\n", NAME)
    assert not isinstance(caught.value, NoAnswer | Full)
    assert fake.calls("sbatch") == 1
    with pytest.raises(ClusterError, match="Invalid account"):
        jobs.test("#!/bin/sh\n")


@pytest.mark.parametrize(
    "said",
    [
        "sbatch: error: QOSMaxSubmitJobPerUserLimit",
        "sbatch: error: AssocMaxSubmitJobLimit",
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's "
        "size and/or time limits)",
    ],
)
def test_a_limit_on_the_number_of_jobs_is_told_from_a_refusal(fake: FakeSlurm, jobs: Jobs, said: str) -> None:
    fake.says("sbatch", f'echo "{said}" >&2; exit 1')
    with pytest.raises(Full):
        jobs.submit("#!/bin/sh\n", NAME)


def test_a_job_of_this_name_that_is_over_does_not_stand_for_a_new_one(fake: FakeSlurm, jobs: Jobs) -> None:
    fake.says("sbatch", "[ $n -lt 2 ] || echo 5")
    fake.says("squeue", listed(4, state="CANCELLED"))
    assert jobs.submit_patiently("#!/bin/sh\n", NAME) == "5"


@pytest.mark.parametrize("what", ["exit 1", "exec sleep 600"])
def test_a_queue_that_does_not_answer_is_unknown_and_not_empty(
    fake: FakeSlurm, jobs: Jobs, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_jobs, "CALL_SECONDS", 1.0)
    fake.says("squeue", what)
    assert jobs.look() is None
    monkeypatch.setattr(queue_jobs, "CALL_SECONDS", 30.0)
    fake.says("squeue", "true")
    assert jobs.look() == []


def test_the_queue_is_read_as_squeue_prints_it(fake: FakeSlurm, jobs: Jobs) -> None:
    rows = [
        listed(1, left="1-02:03:04"),
        listed(2, "somebody|elses|job"),
        listed(3, state="PENDING", reason="PartitionDown", left="UNLIMITED"),
        f"echo '4|{NAME}|PENDING|Priority||1:00:00|2026-11-29T09:30:00'",
        f"echo '5|{NAME}|PENDING|Resources||1:00:00|N/A'",
        f"echo '6|{NAME}|RUNNING|None|node2|1:00:00|2026-11-29T01:30:00'",
        "echo 'slurm_load_jobs error'",
    ]
    fake.says("squeue", "; ".join(rows))
    assert jobs.look() == [
        JobView("1", NAME, State.RUNNING, "RUNNING", "None", "node1", 93784.0),
        JobView("3", NAME, State.PENDING, "PENDING", "PartitionDown", "node1"),
        JobView("4", NAME, State.PENDING, "PENDING", "Priority", "", 3600.0, "2026-11-29T09:30:00"),
        JobView("5", NAME, State.PENDING, "PENDING", "Resources", "", 3600.0),
        JobView("6", NAME, State.RUNNING, "RUNNING", "None", "node2", 3600.0),
    ]


def test_nothing_of_the_drivers_own_job_reaches_the_workers(
    fake: FakeSlurm, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_MEM_PER_NODE", "SBATCH_PARTITION", "SBATCH_EXPORT", "SQUEUE_FORMAT"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    jobs.submit("#!/bin/sh\necho hallo\n", NAME)
    jobs.look()
    for command in ("sbatch", "squeue"):
        leaked = [
            line for line in fake.text(f"{command}.environment").splitlines() if line.startswith(("SL", "SB", "SQ"))
        ]
        assert leaked == ["SLURM_CONF=/etc/slurm.conf"]
    assert fake.text("sbatch.script") == "#!/bin/sh\necho hallo\n"


def test_only_numbers_are_cancelled(fake: FakeSlurm, jobs: Jobs) -> None:
    jobs.cancel(["", "12", "--user=root", "3; rm"])
    assert fake.text("scancel.arguments").split() == ["12"]
    jobs.cancel(["", "x"])
    assert fake.calls("scancel") == 1


def test_without_slurm_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="sbatch, squeue, scancel not found on this machine"):
        Jobs(QUEUE, "stemdask-")
