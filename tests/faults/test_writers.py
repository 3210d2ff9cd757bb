"""Whichever call to the system fails, nothing is torn, no frame is blamed, and the same command ends the work."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Callable, Iterable

import pytest
import toy
import verbs
from nth import NO_MEMORY, Nth, Seen
from scenes import Scene, scenes

from stemdask.errors import StemdaskError
from stemdask.store import disk

pytestmark = pytest.mark.timeout(3600)


def _words(number: int) -> list[str]:
    """Say what the system calls an error, and what Python's buffered files call it, which drop its number."""
    return [os.strerror(number), *(["could not complete without blocking"] if number == errno.EAGAIN else [])]


#: In the place of a step: the first and the last call of each place in the code.
ENDS = 0


def _calls(scene: Scene, monkeypatch: pytest.MonkeyPatch, step: int) -> Iterable[int]:
    """Do a verb undisturbed; return which of its calls are to fail."""
    with monkeypatch.context() as patch:
        seen = Seen(patch, scene.place)
        scene.do()
    if step != ENDS:
        return itertools.count(step, step)
    first = {place: n for n, place in reversed([*enumerate(seen.places, 1)])}
    last = {place: n for n, place in enumerate(seen.places, 1)}
    return sorted({*first.values(), *last.values()})


def _campaign(scene: Scene, monkeypatch: pytest.MonkeyPatch, number: int, step: int) -> tuple[int, list[StemdaskError]]:
    scene.set_up()
    calls = _calls(scene, monkeypatch, step)
    undisturbed = scene.result()
    fired = 0
    refusals: list[StemdaskError] = []
    for n in calls:
        scene.set_up()
        with monkeypatch.context() as patch:
            patch.setattr(disk.time, "sleep", lambda seconds: None)
            nth = Nth(patch, n, number, scene.place)
            try:
                assert verbs.VERBS[scene.verb](**scene.given) in scene.done
            except StemdaskError as error:
                refusals.append(error)
        if nth.count < n:
            break
        fired += 1
        scene.do()
        assert scene.result() == undisturbed, n
        assert not list(scene.place.rglob("*.partial*"))
    return fired, refusals


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["run", "retry", "grow", "extend", "pack", "unpack", "repair", "export", "report", "figures", "tuned"]
)
def test_a_call_that_finds_no_memory_tears_nothing_and_the_same_command_goes_on(
    made: dict[str, Scene], monkeypatch: pytest.MonkeyPatch, name: str, record_property: Callable[[str, object], None]
) -> None:
    scene = made[name]
    scene.set_up()
    calls = _calls(scene, monkeypatch, ENDS)
    undisturbed = scene.result()
    for n in calls:
        scene.set_up()
        with monkeypatch.context() as patch:
            Nth(patch, n, NO_MEMORY, scene.place)
            with contextlib.suppress(StemdaskError, MemoryError):
                verbs.VERBS[scene.verb](**scene.given)
        scene.do()
        assert scene.result() == undisturbed, n
        assert not list(scene.place.rglob("*.partial*"))
    record_property("figure", f"no memory at the first and last call of each place: {len(list(calls))}, all continued")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    folder = tmp_path_factory.mktemp("writers")
    frames = toy.write_frames(folder / "f.npy", 12, {3: "refuse", 7: "many"})
    return scenes(folder, frames, {}, limits={"isolate": False})


@pytest.mark.parametrize(
    ("name", "number", "step"),
    [
        *(
            pytest.param(name, number, step, marks=pytest.mark.long)
            for name, number, step in (
                ("run", errno.ENOSPC, 61), ("run", errno.EIO, 97), ("extend", errno.ENOSPC, 97),
                ("grow", errno.EROFS, 149), ("repair", errno.EIO, 7),
                ("pack", errno.ENOSPC, 23), ("unpack", errno.EIO, 61),
                ("export", errno.ENOSPC, 7), ("report", errno.ENOSPC, 2), ("figures", errno.EIO, 3),
                ("tuned", errno.ENOSPC, 2),
            )
        ),
        *(
            pytest.param(name, number, 1, marks=pytest.mark.slow)
            for name in (
                "run", "retry", "grow", "extend", "pack", "unpack",
                "repair", "export", "report", "figures", "preview", "tuned",
            )
            for number in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EINTR, errno.EAGAIN)
        ),
        *(
            pytest.param(name, number, ENDS, marks=pytest.mark.slow)
            for name in ("grow", "extend")
            for number in (errno.EROFS, errno.EINTR, errno.EAGAIN)
        ),
    ],
)  # fmt: skip
def test_the_nth_call_that_fails_is_a_sentence_and_the_same_command_goes_on(
    made: dict[str, Scene],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    number: int,
    step: int,
    record_property: Callable[[str, object], None],
) -> None:
    fired, refusals = _campaign(made[name], monkeypatch, number, step)
    told = {ENDS: "the first and last call of each place", 1: "every call"}.get(step, f"every {step}. call")
    record_property(
        "figure", f"{errno.errorcode[number]} at {told}: {fired} failed, {len(refusals)} times refused, all continued"
    )
    assert fired
    assert all(any(words in str(error) for words in _words(number)) for error in refusals)
    assert {error.exit_code for error in refusals} <= {74}
    assert refusals or number in disk.PASSING
