"""Short frames go behind the fence several at a time, and each is still on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from stemdask.analyses.evaluation import FrameResult, message_of_several, results_of
from stemdask.config.document import Document
from stemdask.engine.isolate import Helper
from stemdask.engine.run import execute
from stemdask.fence import wire
from stemdask.fence.fence import Fence
from stemdask.model import FrameStatus, Plan
from stemdask.planning import plan_file
from stemdask.store import layout

N = 40

same_paths = st.lists(st.sampled_from(["a/x", "a/n", "b/y"]), min_size=1, unique=True).flatmap(
    lambda paths: st.lists(
        st.fixed_dictionaries(
            {path: npst.arrays("f8", npst.array_shapes(min_dims=0, max_dims=2, min_side=0)) for path in paths}
        ),
        max_size=4,
    )
)


@given(same_paths)
def test_results_of_several_frames_come_back_as_they_were(values: list[dict[str, np.ndarray]]) -> None:
    sent = [FrameResult(FrameStatus.OK, seconds=0.5 * k, input_hash=k, values=own) for k, own in enumerate(values)]
    message = wire.pack(*message_of_several(sent))
    found = results_of(*wire.unpack(message[: wire.PREFIX], message[wire.PREFIX :]))
    assert [one.seconds for one in found] == [one.seconds for one in sent]
    assert [one.input_hash for one in found] == [one.input_hash for one in sent]
    for one, own in zip(found, values, strict=True):
        assert one.values.keys() == own.keys()
        for path, array in own.items():
            assert one.values[path].shape == array.shape
            np.testing.assert_array_equal(one.values[path], array)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The frames of each question."""
    found: list[list[int]] = []
    ask = Fence.ask

    def noted(self: Fence, job: str, given: Mapping[str, Any], *more: Any, **others: Any) -> Any:
        if job.startswith("stemdask.engine.frames:analyse"):
            found.append(list(given.get("indices") or [given["index"]]))
        return ask(self, job, given, *more, **others)

    monkeypatch.setattr(Fence, "ask", noted)
    return found


def _plan(tmp_path: Path, harms: Mapping[int, str]) -> Plan:
    frames = toy.write_frames(tmp_path / "f.npy", N, dict(harms))
    limits = {"isolate": True, "frame_seconds": 6.0, "max_failed": 1}
    store = execute(Document(toy.config(frames, tmp_path / "o.zarr", limits=limits))).store
    return plan_file.load(layout.plan_file(store))


@pytest.fixture
def helper_of() -> Any:
    helpers: list[Helper] = []

    def made(plan: Plan) -> Helper:
        helpers.append(Helper(plan))
        return helpers[-1]

    yield made
    for helper in helpers:
        helper.close()


def test_short_frames_are_asked_for_together_and_found_the_same(
    tmp_path: Path, asked: list[list[int]], helper_of: Callable[[Plan], Helper]
) -> None:
    plan = _plan(tmp_path, {7: "empty"})
    helper = helper_of(plan)
    alone = [next(helper.each([index])) for index in range(N)]
    asked.clear()
    together = list(helper.each(range(N)))
    assert max(map(len, asked)) > N // 2
    assert [index for some in asked for index in some] == list(range(N))
    assert [one.status for one in together] == [one.status for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.input_hash == other.input_hash
        assert list(one.values) == list(other.values)
        for path, array in other.values.items():
            np.testing.assert_array_equal(one.values[path], array)


@pytest.mark.parametrize("harm", ["segv", "key", "memory", pytest.param("loop", marks=pytest.mark.slow)])
def test_a_bad_frame_among_several_fails_alone_with_its_own_reason(
    tmp_path: Path, asked: list[list[int]], helper_of: Callable[[Plan], Helper], harm: str
) -> None:
    plan = _plan(tmp_path, {20: harm})
    helper = helper_of(plan)
    list(helper.each(range(3)))
    asked.clear()
    found = list(helper.each(range(N)))
    assert any(20 in some and len(some) > 1 for some in asked)
    assert [20] in asked
    assert [index for index, one in enumerate(found) if not one.is_done] == [20]
    reasons = {"segv": "SIGSEGV", "key": "KeyError", "memory": "MemoryError", "loop": "longer than 6 s"}
    assert reasons[harm] in found[20].error


def test_long_frames_are_asked_for_one_by_one(
    tmp_path: Path, asked: list[list[int]], helper_of: Callable[[Plan], Helper]
) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 6)
    config = toy.config(frames, tmp_path / "o.zarr", params={"seconds": 0.25}, limits={"isolate": True})
    helper = helper_of(plan_file.load(layout.plan_file(execute(Document(config)).store)))
    asked.clear()
    assert all(one.is_done for one in helper.each(range(6)))
    assert [index for some in asked for index in some] == list(range(6))
    assert max(map(len, asked)) == 1
