"""What a process takes: time that isn't spoilt by others, and memory that is forgotten."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
import time

import pytest

from stemdask.fence import spent

_MIB = 2**20


def _work(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.mark.processes
def test_time_for_which_others_have_the_processor_is_not_counted() -> None:
    """Three others share one processor with this thread."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        time.sleep(0.5)
        clock, wall, own = spent.Clock(), time.perf_counter(), time.thread_time()
        _work(0.5)
        wall, own = time.perf_counter() - wall, time.thread_time() - own
        counted = clock.own()
    finally:
        for process in busy:
            process.kill()
            process.wait()
        os.sched_setaffinity(0, before)
    assert wall > 1.5 * own, "the processor was shared"
    assert counted == pytest.approx(own, rel=0.2)


def test_time_that_a_thread_sleeps_is_counted() -> None:
    clock = spent.Clock()
    time.sleep(0.2)
    assert clock.own() > 0.19


def test_memory_is_the_most_at_a_time_until_it_is_forgotten() -> None:
    gc.collect()  # what others left would be given back meanwhile
    spent.forget()
    before = spent.memory()
    # From the kernel itself: an allocator may have room left that counts already.
    with mmap.mmap(-1, 64 * _MIB) as held:
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
    assert spent.memory() - before > 56 * _MIB
    spent.forget()
    assert spent.memory() - before < 8 * _MIB
