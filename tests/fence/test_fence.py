"""Whatever a job does to its process is told on this side, and the next job is done."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from stemdask.errors import ClusterError, ConfigError, InputError
from stemdask.fence import process
from stemdask.fence.fence import Died, Fence, Overdue, Raised, close_free, lent
from stemdask.fence.process import ONE_THREAD

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def fence(toys: None) -> Iterator[Fence]:
    with Fence() as fence:
        yield fence


def test_a_job_takes_and_returns_plain_values_and_arrays(fence: Fence) -> None:
    sent = {"a/b": np.arange(6.0).reshape(2, 3), "c": np.zeros((0, 2), np.int8)}
    answer, arrays = fence.ask("jobs:echo", {"x": [1, "é", None]}, sent, seconds=60)
    assert answer == {"x": [1, "é", None]}
    assert all((arrays[name] == sent[name]).all() and arrays[name].dtype == sent[name].dtype for name in sent)


def test_jobs_share_a_process_and_the_folder_of_their_caller(
    fence: Fence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = fence.ask("jobs:process", seconds=60)[0]
    assert fence.ask("jobs:folder", seconds=60)[0] == str(tmp_path)
    assert fence.ask("jobs:process", seconds=60)[0] == first != os.getpid()


@pytest.mark.parametrize(
    ("job", "cause"),
    [("crash", "was ended by SIGSEGV"), ("leave", "exited with code 3"), ("kill", "was ended by SIGKILL")],
)
def test_a_process_that_dies_is_told_with_its_cause_and_replaced(fence: Fence, job: str, cause: str) -> None:
    with pytest.raises(Died) as caught:
        fence.ask(f"jobs:{job}", seconds=60)
    assert cause in caught.value.cause()
    assert caught.value.from_outside == (job == "kill")
    assert fence.ask("jobs:echo", {"a": 1}, seconds=60)[0] == {"a": 1}


@pytest.mark.parametrize("loss", ["crash", "end"])
def test_what_was_to_be_kept_is_there_again_after_a_loss(toys: None, loss: str) -> None:
    with Fence() as fence:
        fence.ask("jobs:echo", seconds=60)
        fence.ask("jobs:remember", {"what": "old"}, seconds=60)
        fence.ask("jobs:remember", {"what": "first"}, seconds=60, keep=True)
        fence.ask("jobs:remember", {"what": "last"}, seconds=60, keep=True)
        assert fence.ask("jobs:recall", seconds=60)[0] == ["old", "first", "last"]
        if loss == "crash":
            with pytest.raises(Died):
                fence.ask("jobs:crash", seconds=60)
        else:
            fence.end()
        assert fence.ask("jobs:recall", seconds=60)[0] == ["last"]


@pytest.mark.parametrize(("threads", "forked"), [(0, True), (1, False)])
def test_a_process_is_forked_where_no_thread_could_hold_a_lock(toys: None, threads: int, forked: bool) -> None:
    code = (
        "import sys, threading, time\n"
        "from stemdask.fence.fence import lent\n"
        f"for _ in range({threads}): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
        "with lent() as fence: print('here' in fence.ask('jobs:command', seconds=60)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "here"], capture_output=True, text=True, check=True, env=os.environ | ONE_THREAD
    )
    assert done.stdout.strip() == str(forked)


def test_a_process_that_is_killed_whenever_it_starts_is_no_fault_of_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def killed(*ends_and_output: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "100"]))
        started[-1].kill()
        return started[-1]

    monkeypatch.setattr(process, "start", killed)
    with Fence() as fence, pytest.raises(ClusterError, match=r"killed each time it started: .*SIGKILL.*lack of memory"):
        fence.ask("jobs:echo", seconds=60)
    assert len(started) == 3


@pytest.mark.parametrize("pause", [0.0, 0.3], ids=["at once", "later"])
def test_after_a_death_between_two_jobs_each_answer_is_that_of_its_own_job(fence: Fence, pause: float) -> None:
    """It may have taken the job whole, in part or not at all."""
    for _ in range(20 if not pause else 5):
        process = fence.ask("jobs:process", seconds=60)[0]
        os.kill(process, signal.SIGKILL)
        time.sleep(pause)
        answers: list[object] = []
        while len(answers) < 4:
            with contextlib.suppress(Died):
                answers.append(fence.ask("jobs:echo", {"k": len(answers)}, seconds=60)[0])
        assert answers == [{"k": k} for k in range(4)]


def test_a_large_request_of_which_a_dying_fork_took_a_part_leaves_nothing_behind(fence: Fence) -> None:
    """It doesn't fit into a pipe: what the fork leaves of it must not be taken for the next request."""
    large = np.arange(400_000.0)
    for pause in np.linspace(0.0, 2e-3, 12):
        process = fence.ask("jobs:process", seconds=60)[0]
        killer = threading.Timer(float(pause), os.kill, (process, signal.SIGKILL))
        killer.start()
        answers: list[float] = []
        while len(answers) < 3:
            with contextlib.suppress(Died):
                given, arrays = {"k": len(answers)}, {"large": large + len(answers)}
                answer, values = fence.ask("jobs:echo", given, arrays, seconds=60)
                assert answer == given
                answers.append(float(values["large"][1]))
        killer.join()
        assert answers == [1.0, 2.0, 3.0]


def test_a_job_that_a_dead_fork_had_not_taken_is_done_by_the_next_one_with_what_was_kept(toys: None) -> None:
    with Fence() as fence:
        fence.ask("jobs:echo", seconds=60)
        fence.ask("jobs:remember", {"what": "kept"}, seconds=60, keep=True)
        fork = psutil.Process(fence.ask("jobs:process", seconds=60)[0])
        first = psutil.Process(fork.ppid())
        first.suspend()  # so that it takes the death and the next job at the same time
        fork.kill()
        threading.Timer(0.5, first.resume).start()
        assert fence.ask("jobs:recall", seconds=60)[0] == ["kept"], "a job that wasn't taken isn't to blame"
        for _ in range(2):
            assert fence.ask("jobs:recall", seconds=60)[0] == ["kept"]
            os.kill(fence.ask("jobs:process", seconds=60)[0], signal.SIGKILL)
            time.sleep(0.3)


def test_a_process_that_is_a_fork_holds_no_file_of_its_parent(tmp_path: Path) -> None:
    code = (
        "import fcntl, sys\n"
        "from stemdask.fence.fence import lent\n"
        "with open(sys.argv[1], 'w') as file, lent() as fence:\n"
        "    fcntl.flock(file, fcntl.LOCK_EX)\n"
        "    print('here' in fence.ask('jobs:command', seconds=60)[0])\n"
        "with open(sys.argv[1], 'w') as file:\n"
        "    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock"), "here"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD)
    assert (done.stdout.strip(), done.returncode) == ("True", 0), done.stderr


def test_a_hang_that_no_signal_of_python_reaches_ends_in_time(fence: Fence) -> None:
    start = time.monotonic()
    with pytest.raises(Overdue):
        fence.ask("jobs:wait", seconds=1.0)
    assert time.monotonic() - start < 30
    assert not fence.running


def test_a_loop_is_ended_by_the_time_of_its_core_not_by_the_clock(fence: Fence) -> None:
    with pytest.raises(Overdue):
        fence.ask("jobs:work", seconds=300.0, cpu_seconds=0.5)


@pytest.mark.processes
def test_a_job_that_others_keep_from_running_is_given_the_time_that_they_take(toys: None) -> None:
    """Four others share one processor with the job."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        with Fence() as fence:
            fence.ask("jobs:echo", seconds=120)
            start = time.monotonic()
            assert fence.ask("jobs:work_for", {"seconds": 1.5}, seconds=2.5)[0] == "done"
            assert time.monotonic() - start > 2.5, "the processor was shared"
            with pytest.raises(Overdue):
                fence.ask("jobs:wait", seconds=1.0)
    finally:
        for process in busy:
            process.kill()
            process.wait()
        os.sched_setaffinity(0, before)


def test_a_job_that_goes_on_is_given_time_and_one_that_stops_is_named(fence: Fence) -> None:
    fence.ask("jobs:echo", seconds=60)
    assert fence.ask("jobs:beat_on", {}, seconds=20)[0] == "done"
    with pytest.raises(Overdue, match="file 5"):
        fence.ask("jobs:beat_on", {"then_wait": True}, seconds=2.5)


def test_memory_ends_where_it_is_limited(fence: Fence) -> None:
    with pytest.raises(Raised, match=r"MemoryError|Unable to allocate"):
        fence.ask("jobs:fill", seconds=60)
    fence.end()


def test_our_errors_come_through_word_for_word(fence: Fence) -> None:
    with pytest.raises(InputError) as caught:
        fence.ask("jobs:refuse", seconds=60)
    there = InputError("not right", where="f.tif", value=(1, 2), allowed="one", remedy="Do it again")
    assert str(caught.value) == str(there)
    assert (caught.value.where, caught.value.remedy, caught.value.exit_code) == ("f.tif", "Do it again", 4)
    with pytest.raises(ConfigError) as caught_all:
        fence.ask("jobs:complain", seconds=60)
    assert caught_all.value.problems == ("first", "second")


@pytest.mark.parametrize(("job", "text"), [("break_down", "KeyError: 'x'"), ("interrupt", "KeyboardInterrupt")])
def test_other_errors_are_told_and_end_nothing(fence: Fence, job: str, text: str) -> None:
    before = fence.ask("jobs:process", seconds=60)[0]
    with pytest.raises(Raised, match=text):
        fence.ask(f"jobs:{job}", seconds=60)
    assert fence.ask("jobs:process", seconds=60)[0] == before


def test_what_a_job_prints_enters_no_message(fence: Fence) -> None:
    assert fence.ask("jobs:talk", seconds=60)[0] == "heard"


def test_closing_abandons_the_job_of_another_thread(toys: None) -> None:
    """A worker that must go at once closes what its thread has a frame in."""
    fence = Fence()
    before = fence.ask("jobs:process", seconds=60)[0]
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(fence.ask, "jobs:wait", seconds=200)
        while not fence._lock.locked():
            time.sleep(0.01)
        fence.close()
        assert isinstance(waiting.exception(timeout=60), InterruptedError)
    assert not psutil.pid_exists(before) or psutil.Process(before).status() == psutil.STATUS_ZOMBIE


def test_a_job_is_given_up_when_asked(toys: None) -> None:
    with Fence(give_up=lambda: True) as fence, pytest.raises(InterruptedError):
        fence.ask("jobs:wait", seconds=300)


def test_a_fence_whose_thread_ended_starts_anew() -> None:
    """The process goes with the thread that started it."""
    close_free()
    found = []

    def ask() -> None:
        with lent() as fence:
            found.append(fence.ask("jobs:process", seconds=60)[0])

    for _ in range(2):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        psutil.wait_procs([psutil.Process(pid) for pid in found if psutil.pid_exists(pid)], timeout=60)
    assert found[0] != found[1]
    close_free()
