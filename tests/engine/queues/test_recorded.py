"""How the words of batch systems are read that can't run here: outputs in the shape that their commands print.

PBS: `qstat -f -F json` of PBS 19. LSF: `bjobs -o` and `bqueues -w` of LSF 10. HTCondor: `condor_q -json` of 24. OAR:
`oarstat -J` of 2.5. Grid Engine's own are those of SGE 8.1.9, under which runs are tested for real.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from stemdask.engine.queues import htcondor, lsf, oar, pbs, sge
from stemdask.engine.queues import jobs as queue_jobs
from stemdask.engine.queues.jobs import Jobs
from stemdask.engine.queues.queue import JobView, Partition, Queue, State

PBS = {
    "timestamp": 1664911414,
    "pbs_version": "19.0.0",
    "pbs_server": "pbs.lab.org",
    "Jobs": {
        "128.pbs.lab.org": {
            "Job_Name": "stemdask-ab-1-0-1",
            "Job_Owner": "me@login1",
            "resources_used": {"cpupercent": 99, "ncpus": 1, "walltime": "00:20:00"},
            "job_state": "R",
            "queue": "workq",
            "exec_host": "node24/0*2+node21/0*2",
            "Hold_Types": "n",
            "Resource_List": {"mem": "3072mb", "ncpus": 1, "walltime": "01:00:00"},
        },
        "129.pbs.lab.org": {
            "Job_Name": "stemdask-ab-1-1-1",
            "job_state": "Q",
            "queue": "workq",
            "comment": "Not Running: Insufficient amount of resource: ncpus ",
            "Resource_List": {"walltime": "01:00:00"},
        },
        "130.pbs.lab.org": {
            "Job_Name": "stemdask-ab-1-2-1",
            "job_state": "Q",
            "comment": "Can Never Run: Insufficient amount of resource: mem (R: 900gb A: 64gb T: 64gb)",
        },
    },
}
PBS_QUEUES = {
    "Queue": {
        "workq": {
            "queue_type": "Execution",
            "resources_max": {"walltime": "24:00:00", "ncpus": 64, "mem": "256gb"},
            "enabled": "True",
            "started": "True",
        },
        "old": {"queue_type": "Execution", "enabled": "True", "started": "False"},
    }
}
LSF = """\
501|stemdask-ab-1-0-1|RUN|-|-|node7|0:45 L
502|stemdask-ab-1-1-1|RUN|-|-|4*node8:4*node9|12:00 E
503|stemdask-ab-1-2-1|PEND|Job slot limit reached;|-|-|-
504|stemdask-ab-1-3-1|EXIT|-|TERM_MEMLIMIT: job killed after reaching LSF memory usage limit|node7|-
505|stemdask-ab-1-4-1|EXIT|-|TERM_OWNER: job killed by owner|node7|-
506|stemdask-ab-1-5-1|EXIT|-|-|node7|-
507|stemdask-ab-1-6-1|DONE|-|-|node7|-
508|stemdask-ab-1-7-1|UNKWN|-|-|node9|1:00 L
"""
LSF_QUEUES = """\
QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP  RSV PJOBS
normal           30  Open:Active       -    -    -    - 42     0      42    0     0     0
night            20  Open:Inact        -    -    -    - 1      1      0     0     0     1
"""
SGE_JOBS = """\
<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd">
  <queue_info>
    <job_list state="running">
      <JB_job_number>11</JB_job_number>
      <JAT_prio>0.55500</JAT_prio>
      <JB_name>stemdask-1f2e-3d4c5b-1-0-1</JB_name>
      <JB_owner>me</JB_owner>
      <state>r</state>
      <JAT_start_time>2026-11-27T08:43:39</JAT_start_time>
      <queue_name>all.q@node3</queue_name>
      <slots>1</slots>
    </job_list>
    <job_list state="running">
      <JB_job_number>12</JB_job_number>
      <JB_name>stemdask-1f2e-3d4c5b-1-1-1</JB_name>
      <state>dr</state>
      <queue_name>all.q@node3</queue_name>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>13</JB_job_number>
      <JB_name>stemdask-1f2e-3d4c5b-1-2-1</JB_name>
      <state>qw</state>
      <queue_name></queue_name>
    </job_list>
    <job_list state="pending">
      <JB_job_number>14</JB_job_number>
      <JB_name>stemdask-1f2e-3d4c5b-1-3-1</JB_name>
      <state>Eqw</state>
      <queue_name></queue_name>
    </job_list>
  </job_info>
</job_info>
"""
SGE_QUEUES = """\
CLUSTER QUEUE                   CQLOAD   USED    RES  AVAIL  TOTAL aoACDS  cdsuE
--------------------------------------------------------------------------------
all.q                             0.20      1      0     63     64      0      0
old.q                             -NA-      0      0      0      8      0      8
"""


CONDOR = """\
[
{
  "ClusterId": 501,
  "JobBatchName": "stemdask-ab-1-0-1",
  "JobCurrentStartDate": %(start)d,
  "JobStatus": 2,
  "RemoteHost": "slot1_3@node7.lab.org",
  "StemdaskSeconds": 3600
}
,
{
  "ClusterId": 502,
  "JobBatchName": "stemdask-ab-1-1-1",
  "JobStatus": 1,
  "StemdaskSeconds": 3600
}
,
{
  "ClusterId": 503,
  "HoldReason": "Error from slot1_1@node8: Job has gone over cgroup memory limit of 1280 megabytes.",
  "HoldReasonCode": 34,
  "JobBatchName": "stemdask-ab-1-2-1",
  "JobStatus": 5
}
,
{
  "ClusterId": 504,
  "HoldReason": "via condor_hold (by user me)",
  "HoldReasonCode": 1,
  "JobBatchName": "stemdask-ab-1-3-1",
  "JobStatus": 5
}
,
{
  "ClusterId": 505,
  "JobBatchName": "stemdask-ab-1-4-1",
  "JobStatus": 3
}
]
"""
OAR = """\
{
   "701" : {
      "Job_Id" : 701,
      "assigned_network_address" : [
         "dahu-7.grenoble.grid5000.fr"
      ],
      "assigned_resources" : [
         181
      ],
      "message" : "R=1,W=1:0:0,J=B,N=stemdask-ab-1-0-1 (Karma=0.001)",
      "name" : "stemdask-ab-1-0-1",
      "queue" : "default",
      "scheduledStart" : %(start)d,
      "startTime" : %(start)d,
      "state" : "Running",
      "walltime" : 3600
   },
   "702" : {
      "Job_Id" : 702,
      "assigned_network_address" : [],
      "message" : "Cannot find enough resources for job 702",
      "name" : "stemdask-ab-1-1-1",
      "scheduledStart" : null,
      "startTime" : 0,
      "state" : "Waiting",
      "walltime" : null
   },
   "703" : {
      "Job_Id" : 703,
      "assigned_network_address" : [],
      "message" : "R=1,W=1:0:0,J=B (Karma=0.002)",
      "name" : null,
      "scheduledStart" : %(start)d,
      "startTime" : 0,
      "state" : "Waiting",
      "walltime" : 3600
   },
   "704" : {
      "Job_Id" : 704,
      "assigned_network_address" : [],
      "message" : "",
      "name" : "stemdask-ab-1-3-1",
      "startTime" : 0,
      "state" : "Hold"
   }
}
"""


def test_htcondor_is_read_with_why_jobs_are_held() -> None:
    jobs = htcondor.QUEUE.read(CONDOR % {"start": time.time() - 600})
    running, idle, greedy, held, removed = jobs
    assert (running.id, running.name, running.node) == ("501", "stemdask-ab-1-0-1", "node7.lab.org")
    assert running.seconds_left == pytest.approx(3000, abs=5)
    assert idle == JobView("502", "stemdask-ab-1-1-1", State.PENDING, "idle")
    assert greedy.state is State.OUT_OF_MEMORY
    assert held.state is State.PENDING
    assert htcondor.QUEUE.hopeless.search(held.reason)
    assert removed.state is State.ENDING
    assert htcondor.QUEUE.read("") == [], "as it prints of no job"


def test_oar_is_read_with_the_time_that_is_left_and_the_start_that_is_planned() -> None:
    start = int(time.time() - 600)
    running, hopeless, waiting, held = oar.QUEUE.read(OAR % {"start": start})
    assert (running.id, running.state, running.node) == ("701", State.RUNNING, "dahu-7.grenoble.grid5000.fr")
    assert running.seconds_left == pytest.approx(3000, abs=5)
    assert (running.reason, running.starts) == ("", "")
    assert [bool(oar.QUEUE.hopeless.search(job.reason)) for job in (hopeless, waiting, held)] == [True, False, True]
    assert waiting.name == ""
    assert time.mktime(time.strptime(waiting.starts, "%Y-%m-%dT%H:%M:%S")) == start
    assert hopeless.starts == held.starts == ""
    assert oar.QUEUE.read("") == [], "as it prints of no job"


def test_pbs_is_read_with_ids_names_nodes_and_the_time_that_is_left() -> None:
    running, waiting, never = pbs.QUEUE.read(json.dumps(PBS))
    assert running == JobView("128.pbs.lab.org", "stemdask-ab-1-0-1", State.RUNNING, "R", "", "node24", 2400.0)
    assert (waiting.state, waiting.reason) == (State.PENDING, PBS["Jobs"]["129.pbs.lab.org"]["comment"])  # type: ignore[index]
    assert not pbs.QUEUE.hopeless.search(waiting.reason)
    assert pbs.QUEUE.hopeless.search(never.reason)
    assert pbs.QUEUE.read("") == []


def test_lsf_is_read_with_why_a_job_ended() -> None:
    found = lsf.QUEUE.read(LSF)
    ended = [State.OUT_OF_MEMORY, State.TAKEN, State.OVER, State.OVER]
    assert [job.state for job in found] == [State.RUNNING, State.RUNNING, State.PENDING, *ended, State.OTHER]
    assert [job.node for job in found[:2]] == ["node7", "node8"]
    assert [job.seconds_left for job in found[:2]] == [2700.0, 43200.0]
    assert found[2].reason == "Job slot limit reached;"


def test_grid_engine_is_read_with_names_that_are_whole() -> None:
    found = sge.QUEUE.read(SGE_JOBS)
    assert [job.state for job in found] == [State.RUNNING, State.ENDING, State.PENDING, State.PENDING]
    assert found[0] == JobView("11", "stemdask-1f2e-3d4c5b-1-0-1", State.RUNNING, "r", "", "node3")
    assert [bool(sge.QUEUE.hopeless.search(job.reason)) for job in found[2:]] == [False, True]


@pytest.mark.parametrize(
    ("queue", "text", "partitions"),
    [
        (
            pbs.QUEUE,
            json.dumps(PBS_QUEUES),
            [
                Partition("workq", True, False, 86400.0, 64, 256 * 2**30, 0),
                Partition("old", False, False, float("inf"), 0, 0, 0),
            ],
        ),
        (
            lsf.QUEUE,
            LSF_QUEUES,
            [
                Partition("normal", True, False, float("inf"), 0, 0, 0),
                Partition("night", False, False, float("inf"), 0, 0, 0),
            ],
        ),
        (
            sge.QUEUE,
            SGE_QUEUES,
            [
                Partition("all.q", True, False, float("inf"), 0, 0, 64),
                Partition("old.q", False, False, float("inf"), 0, 0, 8),
            ],
        ),
    ],
    ids=["pbs", "lsf", "sge"],
)
def test_queues_are_listed(queue: Queue, text: str, partitions: list[Partition]) -> None:
    assert queue.read_partitions(text) == partitions


@pytest.mark.parametrize(
    ("queue", "said", "job"),
    [
        (pbs.QUEUE, "128.pbs.lab.org", "128.pbs.lab.org"),
        (lsf.QUEUE, "Job <501> is submitted to queue <normal>.", "501"),
        (lsf.QUEUE, "Memory reservation is (MB): 3072\nJob <501> is submitted to default queue <normal>.", "501"),
        (sge.QUEUE, "13", "13"),
        (sge.QUEUE, 'Your job 13 ("x") has been submitted', None),
        (htcondor.QUEUE, "501.0 - 501.0", "501"),
        (oar.QUEUE, "[ADMISSION RULE] Set default walltime to 7200.\nOAR_JOB_ID=701", "701"),
    ],
)
def test_the_id_is_found_in_an_answer_and_is_one_that_may_be_cancelled(
    queue: Queue, said: str, job: str | None
) -> None:
    answer = queue.answer.fullmatch(said)
    assert (answer[1] if answer else None) == job
    assert job is None or queue.job_id.fullmatch(job)


@pytest.mark.parametrize(
    ("queue", "said", "kind"),
    [
        (pbs.QUEUE, "qsub: would exceed queue generic's per-user limit of jobs in 'Q' state", "full"),
        (pbs.QUEUE, "Connection refused\nqsub: cannot connect to server pbs (errno=111)", "passing"),
        (pbs.QUEUE, "qsub: Unknown queue", "refused"),
        (lsf.QUEUE, "User <me>: Pending job threshold reached. Retrying in 60 seconds...", "full"),
        (lsf.QUEUE, "LSF is down. Please wait ...", "passing"),
        (lsf.QUEUE, "nowhere: No such queue. Job not submitted.", "refused"),
        (sge.QUEUE, "Unable to run job: job rejected: only 5 jobs are allowed per user (current job count: 5)", "full"),
        (
            sge.QUEUE,
            "error: commlib error: got select error (Connection refused)\nunable to contact qmaster",
            "passing",
        ),
        (sge.QUEUE, 'Unable to run job: job rejected: cluster queue "nowhere.q" does not exist', "refused"),
        (
            htcondor.QUEUE,
            "ERROR: Number of submitted jobs would exceed MAX_JOBS_PER_OWNER\nERROR: Failed to create cluster",
            "full",
        ),
        (htcondor.QUEUE, "ERROR: Can't find address of local schedd", "passing"),
        (htcondor.QUEUE, "ERROR: Failed to connect to queue manager submit.lab.org", "passing"),
        (htcondor.QUEUE, "ERROR: Failed to parse command file (line 3).", "refused"),
        (oar.QUEUE, "[ADMISSION RULE] Error: you cannot have more than 2 waiting advance reservations.", "full"),
        (oar.QUEUE, "[ERROR] Cannot connect to executor frontend:6666. Is OAR started?", "passing"),
        (oar.QUEUE, "[ADMISSION RULE] Error: unknown job type: x", "refused"),
    ],
)
def test_a_server_that_is_away_and_a_limit_are_told_from_a_refusal(queue: Queue, said: str, kind: str) -> None:
    told = "passing" if queue.passing.search(said) else "full" if queue.full.search(said) else "refused"
    assert told == kind


def test_pbs_is_asked_for_the_jobs_of_this_user_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        text = "128.pbs.lab.org\n129.pbs.lab.org\n" if command[0] == "qselect" else json.dumps(PBS)
        return subprocess.CompletedProcess(command, 0, text, "")

    monkeypatch.setattr(Queue, "missing", lambda self: [])
    monkeypatch.setattr(queue_jobs.subprocess, "run", run)
    monkeypatch.setattr(queue_jobs.getpass, "getuser", lambda: "me")
    found = Jobs(pbs.QUEUE, "stemdask-ab-1-0").look()
    assert [job.id for job in found or ()] == ["128.pbs.lab.org"]
    assert asked == [["qselect", "-u", "me"], ["qstat", "-f", "-F", "json", "128.pbs.lab.org", "129.pbs.lab.org"]]
