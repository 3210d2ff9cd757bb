"""How many workers one driver can keep busy: a simulation with measured costs, beside runs with real workers.

    python benchmarks/scheduler.py [--blocks 60] [--seconds 0.5]

The loop that hands out blocks is the run's own, and so are the numbers that it hands out ahead; workers and time are
simulated. Measured are what a block costs the driver, with Dask's scheduler in it, where one comes after another; what
the driver takes of its core while nothing comes, and for the heartbeats of more and more workers; and what passes on a
worker between two blocks. Real workers sleep for as long as a block takes, so that more of them than cores can be
compared.
"""

from __future__ import annotations

import argparse
import heapq
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from distributed import Client, LocalCluster
from distributed.scheduler import heartbeat_interval

from stemdask.engine.block import Ack
from stemdask.engine.dispatch import TICK, Done, Job, dispatch
from stemdask.engine.signals import Stop
from stemdask.engine.workers.cluster import DaskPool, Processes
from stemdask.model import Block, FrameStatus
from stemdask.store.layout import run_directory

REAL = (1, 2, 4)
#: Workers, and blocks of so many seconds, that come to the driver one after another.
BUSY, N_SHORT, SHORT = 4, 600, 0.02
#: Workers whose heartbeats are compared, for so many seconds.
IDLE, IDLE_SECONDS = (2, 30), 20.0
SIMULATED = (10, 100, 300, 1000, 3000)
BLOCK_SECONDS = (1.0, 3.0, 10.0, 30.0)
#: Blocks per worker of a simulated run: its end, when workers run out of blocks, is part of it.
BLOCKS_PER_WORKER = 10
#: How much longer than usual a block may take: they are evenly spread up to this part above and below.
SPREAD = 0.3


@dataclass(frozen=True, slots=True)
class Costs:
    """Of a block, s."""

    driver: float
    """Of the driver's core, which does one thing at a time."""
    worker: float
    """Between two blocks of a worker."""
    idle: float = 0.0
    """Of the driver's core each second, whatever comes."""
    beat: float = 0.0
    """Of the driver's core for each heartbeat; their number for each block follows from the number of workers."""

    def of_driver(self, workers: int) -> float:
        """Return the time that a block takes of a driver that has so many workers."""
        busy = self.idle + self.beat * workers / heartbeat_interval(workers)
        return self.driver / (1.0 - busy) if busy < 1.0 else math.inf


class Simulated:
    """Workers that take simulated time."""

    def __init__(self, workers: int, seconds: list[float], costs: Costs) -> None:
        self.workers = workers
        self.window = DaskPool.AHEAD * workers
        self.now = 0.0
        self._seconds = seconds
        self._costs = costs
        self._driver = costs.of_driver(workers)
        self._free = [0.0] * workers
        self._running: list[tuple[float, int, Block]] = []

    def __enter__(self) -> Simulated:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def submit(self, block: Block, isolate: bool | None) -> None:
        self.now += self._driver
        end = max(self.now, heapq.heappop(self._free)) + self._costs.worker + self._seconds[block.index]
        heapq.heappush(self._free, end)
        heapq.heappush(self._running, (end, block.index, block))

    def collect(self, seconds: float) -> Iterable[Done]:
        self.now = max(self.now, min(self._running[0][0], self.now + seconds))
        while self._running and self._running[0][0] <= self.now:
            yield Done(heapq.heappop(self._running)[2], ack=acknowledged(0))

    def supervise(self) -> str:
        return ""

    def alive(self) -> int:
        return self.workers


class Sleeping(Processes):
    """Processes behind Dask's scheduler that sleep for as long as a block takes."""

    def __init__(self, job: Job, workers: int, seconds: float) -> None:
        super().__init__(job, workers, workers_timeout=600.0)
        self._seconds = seconds

    def submit(self, block: Block, isolate: bool | None) -> None:
        key = f"block-{block.index}"
        future = self._client.submit(sleep_and_tell, self._topic, key, self._seconds, key=key, pure=False)
        self._blocks[key] = block, future
        future.add_done_callback(lambda done: self._ready.put((done.key, None)))


def sleep_and_tell(topic: str, key: str, seconds: float) -> None:
    """Sleep, and tell the driver as a worker tells of a block."""
    import time

    from distributed import get_worker

    time.sleep(seconds)
    get_worker().log_event(topic, {"key": key, "block": 0, "counts": [[1, 1]], "seconds": seconds, "reasons": []})


def acknowledged(block: int) -> Ack:
    return Ack(block, {FrameStatus.OK: 1}, 0.0)


def all_handed_out(pool: Simulated | Sleeping, n_blocks: int) -> None:
    blocks = (Block(index, index, index + 1) for index in range(n_blocks))
    dispatch(pool, blocks, Stop(), lambda ack: None, lambda note: None, math.inf)


def real(workers: int, n_blocks: int, seconds: float) -> tuple[float, float]:
    """Return the time that blocks took with so many real workers, and the CPU time of this process for all, s."""
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "o.zarr"
        run_directory(store).mkdir()
        job = Job(str(store), 1, False, 1 << 30, lambda: False)
        with Sleeping(job, workers, seconds) as pool:
            while pool.alive() < workers:
                time.sleep(TICK)
            start, spent = time.perf_counter(), time.process_time()
            all_handed_out(pool, n_blocks)
            return time.perf_counter() - start, time.process_time() - spent


def idle(counts: Iterable[int]) -> list[float]:
    """Return the CPU time of this process each second while so many workers, started elsewhere, have nothing to do."""
    spent, workers = [], []
    with LocalCluster(n_workers=0, dashboard_address=None) as cluster, Client(cluster) as client:
        command = [sys.executable, "-m", "dask", "worker", cluster.scheduler_address, "--nthreads", "1"]
        try:
            for count in counts:
                while len(workers) < count:
                    workers.append(subprocess.Popen([*command, "--no-dashboard"], stderr=subprocess.DEVNULL))
                client.wait_for_workers(count)
                time.sleep(0.5 * IDLE_SECONDS)  # the last of them has just come
                start, before = time.perf_counter(), time.process_time()
                time.sleep(IDLE_SECONDS)
                spent.append((time.process_time() - before) / (time.perf_counter() - start))
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()
    return spent


def simulated(workers: int, seconds: list[float], costs: Costs) -> float:
    """Return the time that blocks take with so many workers, s."""
    pool = Simulated(workers, seconds, costs)
    all_handed_out(pool, len(seconds))
    return pool.now


def spread(n_blocks: int, seconds: float) -> list[float]:
    """Return the times of blocks; their order is as good as random, and the same in every run."""
    golden = (math.sqrt(5) - 1) / 2
    return [seconds * (1 + SPREAD * (2 * (k * golden % 1) - 1)) for k in range(n_blocks)]


def measured(n_blocks: int, seconds: float) -> tuple[Costs, dict[int, float]]:
    """Return what a block costs with real workers, and the time that all blocks took by the number of workers, s."""
    took = {workers: real(workers, n_blocks, seconds)[0] for workers in REAL}
    few, many = (workers / heartbeat_interval(workers) for workers in IDLE)
    of_few, of_many = idle(IDLE)
    beat = max(0.0, (of_many - of_few) / (many - few))
    rest = max(0.0, of_few - beat * few)
    passed, spent = real(BUSY, N_SHORT, SHORT)
    spent -= passed * (rest + beat * BUSY / heartbeat_interval(BUSY))
    return Costs(spent / N_SHORT, max(0.0, took[1] / n_blocks - seconds), rest, beat), took


def efficiency(workers: int, seconds: float, costs: Costs) -> float:
    """Return the part of their time that simulated workers are at work, with blocks of about so many seconds."""
    blocks = spread(BLOCKS_PER_WORKER * workers, seconds)
    return sum(blocks) / workers / simulated(workers, blocks, costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.5)
    asked = parser.parse_args()
    costs, took = measured(asked.blocks, asked.seconds)
    print(
        f"a block costs {1000 * costs.driver:.1f} ms of the driver and {1000 * costs.worker:.1f} ms between two, "
        f"a heartbeat {1000 * costs.beat:.1f} ms; {100 * costs.idle:.1f} % of its core the driver takes anyway"
    )
    for workers, seconds in took.items():
        expected = simulated(workers, [asked.seconds] * asked.blocks, costs)
        print(f"{workers:5d} workers: {seconds:6.2f} s, simulated {expected:6.2f} s", flush=True)
    print("\nefficiency   " + "".join(f"{f'{seconds:g} s':>8s}" for seconds in BLOCK_SECONDS))
    for workers in SIMULATED:
        line = "".join(f"{efficiency(workers, seconds, costs):8.3f}" for seconds in BLOCK_SECONDS)
        print(f"{workers:5d} workers" + line, flush=True)


if __name__ == "__main__":
    main()
