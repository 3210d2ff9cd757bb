from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from stemdask.engine import dispatch as dispatching
from stemdask.engine.block import Ack
from stemdask.engine.dispatch import Done, WorkerDied, dispatch
from stemdask.engine.signals import Stop
from stemdask.errors import ClusterError, StemdaskError, StorageError
from stemdask.model import Block, FrameStatus


class FakePool:
    """Gives back the blocks in the order that it took them; the errors named come first."""

    workers = 2
    window = 4

    def __init__(self, errors: dict[int, list[BaseException]] | None = None) -> None:
        self.errors = errors or {}
        self.held: list[tuple[Block, bool | None]] = []
        self.taken: list[tuple[int, bool | None]] = []
        self.most = 0

    def __enter__(self) -> FakePool:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def submit(self, block: Block, isolate: bool | None) -> None:
        self.held.append((block, isolate))
        self.taken.append((block.index, isolate))
        self.most = max(self.most, len(self.held))

    def collect(self, seconds: float) -> Iterable[Done]:
        block, _ = self.held.pop(0)
        errors = self.errors.get(block.index)
        if errors:
            return [Done(block, error=errors.pop(0))]
        return [Done(block, ack=Ack(block.index, {FrameStatus.OK: 1}, 0.1))]

    def supervise(self) -> str:
        return ""

    def alive(self) -> int:
        return 2


def _blocks(n: int) -> Iterator[Block]:
    return (Block(i, i, i + 1) for i in range(n))


def _dispatch(pool: FakePool, n: int = 20, stop: Stop | None = None) -> list[int]:
    done: list[int] = []
    dispatch(pool, _blocks(n), stop or Stop(), lambda ack: done.append(ack.block), lambda note: None, 60)
    return done


def test_every_block_is_done_once_with_a_window_of_them_in_flight() -> None:
    pool = FakePool()
    assert _dispatch(pool) == list(range(20))
    assert pool.most == 4


def test_a_block_that_took_its_worker_along_is_tried_in_a_helper() -> None:
    pool = FakePool({3: [WorkerDied("segfault")]})
    assert sorted(_dispatch(pool)) == list(range(20))
    assert [isolate for index, isolate in pool.taken if index == 3] == [None, True]


def test_a_block_that_fails_again_and_again_ends_the_run() -> None:
    with pytest.raises(ClusterError, match=r"block 3 .frames 3 to 3. failed 3 times"):
        _dispatch(FakePool({3: [WorkerDied("x")] * dispatching.TRIES}))
    with pytest.raises(StemdaskError, match="ConnectionError: lost"):
        _dispatch(FakePool({3: [ConnectionError("lost")] * dispatching.TRIES}))


def test_a_block_whose_helper_somebody_killed_goes_to_another_worker() -> None:
    killed = ClusterError("the helper process was killed each time it started")
    assert sorted(_dispatch(FakePool({3: [killed] * (dispatching.TRIES - 1)}))) == list(range(20))
    with pytest.raises(ClusterError, match=r"block 3 .* failed 3 times.*killed each time it started"):
        _dispatch(FakePool({3: [killed] * dispatching.TRIES}))


def test_a_full_disk_ends_the_run_at_once() -> None:
    pool = FakePool({3: [StorageError("full")]})
    with pytest.raises(StorageError):
        _dispatch(pool)
    assert len([index for index, _ in pool.taken if index == 3]) == 1


def test_when_asked_to_stop_no_block_is_handed_out_and_those_in_flight_end() -> None:
    pool, stop, done = FakePool(), Stop(), []

    def count(ack: Ack) -> None:
        done.append(ack.block)
        if ack.block == 5:
            stop._handle(15, None)

    dispatch(pool, _blocks(20), stop, count, lambda note: None, 60)
    assert done == list(range(9))


def test_when_the_time_to_stop_is_over_blocks_in_flight_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemdask.engine.signals.GRACE", -1.0)
    pool, stop = FakePool(), Stop()
    done: list[int] = []

    def count(ack: Ack) -> None:
        done.append(ack.block)
        stop._handle(15, None)

    dispatch(pool, _blocks(20), stop, count, lambda note: None, 60)
    assert done == [0]


def test_an_abandoned_block_is_not_an_error() -> None:
    stop = Stop()
    stop._handle(15, None)
    pool = FakePool({0: [InterruptedError()]})
    pool.submit(Block(0, 0, 1), None)
    assert _dispatch(pool, stop=stop) == []


def test_workers_that_never_answer_end_the_run() -> None:
    class Silent(FakePool):
        def collect(self, seconds: float) -> Iterable[Done]:
            return []

    with pytest.raises(ClusterError, match="no block was returned for 0 s"):
        dispatch(Silent(), _blocks(3), Stop(), lambda ack: None, lambda note: None, 0.0)


def test_a_run_that_is_asked_to_stop_waits_for_no_worker() -> None:
    class Empty(FakePool):
        def collect(self, seconds: float) -> Iterable[Done]:
            stop._handle(15, None)
            return []

        def alive(self) -> int:
            return 0

    stop = Stop()
    dispatch(Empty(), _blocks(3), stop, lambda ack: None, lambda note: None, 60.0)
    assert stop.requested
