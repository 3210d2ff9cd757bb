"""The record of SLURM: how its words are read."""

from __future__ import annotations

import pytest

from stemdask.engine.queues.queue import Partition, State
from stemdask.engine.queues.slurm import QUEUE


@pytest.mark.parametrize(
    ("reason", "hopeless"),
    [
        ("PartitionDown", True),
        ("PartitionTimeLimit", True),
        ("PartitionNodeLimit", True),
        ("AssocMaxJobsLimit", False),
        ("InvalidQOS", True),
        ("JobHeldUser", True),
        ("BadConstraints", True),
        ("AssocMaxCpuPerJobLimit", True),
        ("QOSMaxWallDurationPerJobLimit", True),
        ("Priority", False),
        ("Resources", False),
        ("ReqNodeNotAvail, UnavailableNodes:node1", False),
        ("Dependency", False),
    ],
)
def test_pending_reasons_that_waiting_does_not_change_are_known(reason: str, hopeless: bool) -> None:
    assert bool(QUEUE.hopeless.search(reason)) == hopeless


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-02:03:04", 93784),
        ("02:03:04", 7384),
        ("3:04", 184),
        ("0:00", 0),
        ("UNLIMITED", float("inf")),
        ("", float("inf")),
    ],
)
def test_the_time_left_is_read_with_and_without_days_and_limits(text: str, seconds: float) -> None:
    (job,) = QUEUE.read(f"7|name|RUNNING|None|node1|{text}\n")
    assert job.seconds_left == seconds


@pytest.mark.parametrize(
    ("word", "state", "over"),
    [
        ("PENDING", State.PENDING, False),
        ("RUNNING", State.RUNNING, False),
        ("COMPLETING", State.ENDING, False),
        ("SUSPENDED", State.RUNNING, False),
        ("CONFIGURING", State.OTHER, False),
        ("TIMEOUT", State.OVER, True),
        ("FAILED", State.OVER, True),
        ("NODE_FAIL", State.TAKEN, True),
        ("CANCELLED", State.TAKEN, True),
        ("OUT_OF_MEMORY", State.OUT_OF_MEMORY, True),
    ],
)
def test_a_state_that_is_not_known_is_not_over(word: str, state: State, over: bool) -> None:
    (job,) = QUEUE.read(f"7|name|{word}|None||10:00\n")
    assert (job.state, job.word, job.over) == (state, word, over)


@pytest.mark.parametrize(
    ("said", "job"), [("17", "17"), ("17;cluster", "17"), ("17; rm -rf x", "17"), ("Welcome!", None), ("", None)]
)
def test_the_id_is_all_that_is_taken_from_an_answer(said: str, job: str | None) -> None:
    answer = QUEUE.answer.fullmatch(said)
    assert (answer[1] if answer else None) == job


def test_partitions_are_read_with_their_limits_and_their_largest_node() -> None:
    lines = ["normal*|up|infinite|2|8192|2", "short|up|1:00|64+|256000|10", "short|up|1:00|128|512000+|1"]
    assert QUEUE.read_partitions("\n".join([*lines, "closed|down|10:00|2|8192|2"])) == [
        Partition("normal", True, True, float("inf"), 2, 8 * 2**30, 2),
        Partition("short", True, False, 60.0, 128, 512000 * 2**20, 11),
        Partition("closed", False, False, 600.0, 2, 8 * 2**30, 2),
    ]
