"""Whatever is killed at whatever moment of whatever verb, the same command ends the work with the same bytes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import toy
import verbs
from scenes import Scene, scenes

pytestmark = [pytest.mark.processes, pytest.mark.timeout(3600)]

#: A verb is killed at most so often before it may end.
IN_A_ROW = 4
N_FRAMES = 20
#: Seconds after which a verb hangs; one that a busy machine leaves an eighth of a core takes minutes.
PATIENCE = 1200


def _phase(scene: Scene) -> str:
    """Return how far a run has come."""
    store = scene.place / "o.zarr"
    if not store.exists():
        return "survey" if Path(os.environ["TOY_TELLS"]).exists() else "prepare"
    return "run" if toy.blocks_done(store) < N_FRAMES // 4 else "finish"


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def _kill(process: Any, victim: str, choose: random.Random) -> None:
    family = _family(process.pid)
    if victim == "one of its processes" and family:
        with contextlib.suppress(psutil.NoSuchProcess):
            choose.choice(family).kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if victim == "group" else os.kill(process.pid, signal.SIGKILL)
    for one in family if victim == "group" else ():
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.join(60)
    _, left = psutil.wait_procs(family, timeout=60)
    assert not left, "processes outlived their driver"


def _until_done(scene: Scene, words: Path) -> None:
    """Let the verb end in peace."""
    process = verbs.start(scene.verb, words, **scene.given)
    process.join(PATIENCE)
    assert process.exitcode in scene.done, f"{scene.verb}: {process.exitcode} {words.read_text()[-400:]}"


def _campaign(scene: Scene, name: str, words: Path, n_kills: int, seed: int) -> Counter[tuple[str, str]]:
    """Kill a verb so often; return how often what was killed in which phase."""
    choose = random.Random(seed)
    scene.set_up()
    start = time.monotonic()
    _until_done(scene, words)
    seconds = time.monotonic() - start
    undisturbed = scene.result()
    kills: Counter[tuple[str, str]] = Counter()
    while kills.total() < n_kills:
        scene.set_up()
        for _ in range(choose.randint(1, min(IN_A_ROW, n_kills - kills.total()))):
            process = verbs.start(scene.verb, words, **scene.given)
            process.join(choose.uniform(0, seconds))
            if process.exitcode is not None:
                break
            victim = choose.choice(["driver", "one of its processes", "group"])
            kills[victim, _phase(scene) if scene.verb == "run" and scene.before is None else name] += 1
            _kill(process, victim, choose)
            process.join(PATIENCE)
            assert process.exitcode is not None, f"{scene.verb} hangs after a kill of {victim}"
        _until_done(scene, words)
        assert scene.result() == undisturbed
        assert not list(scene.place.rglob("*.partial*"))
    return kills


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scene]]:
    folder = tmp_path_factory.mktemp("campaign")
    os.environ["TOY_TELLS"] = str(folder / "place" / "told")
    frames = toy.write_frames(folder / "f.npy", N_FRAMES, {7: "refuse", 9: "many", 18: "raise"})
    yield scenes(folder, frames, {"seconds": 0.01, "once": 0.2})
    del os.environ["TOY_TELLS"]


@pytest.mark.parametrize(
    ("name", "n_kills"),
    [
        ("run", 4), ("retry", 2), ("grow", 2), ("extend", 3), ("pack", 3), ("unpack", 3),
        ("repair", 4), ("export", 4), ("report", 2), ("figures", 2),
        *(
            pytest.param(name, n, marks=pytest.mark.slow)
            for name, n in (
                ("run", 60), ("processes", 40), ("retry", 20), ("grow", 20), ("extend", 40),
                ("pack", 20), ("unpack", 20), ("repair", 30), ("export", 30), ("report", 20),
                ("figures", 20), ("preview", 20), ("tune", 20), ("view", 20),
            )
        ),
    ],
)  # fmt: skip
def test_a_verb_that_is_killed_at_random_is_ended_by_the_same_command(
    made: dict[str, Scene], tmp_path: Path, name: str, n_kills: int, record_property: Callable[[str, object], None]
) -> None:
    kills = _campaign(made[name], name, tmp_path / "words", n_kills, seed=n_kills)
    told = ", ".join(f"{n} of {victim} in {phase}" for (victim, phase), n in sorted(kills.items()))
    record_property("figure", f"{kills.total()} kills: {told}")
    assert kills.total() >= n_kills


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("tuned", 1), ("export", 19), ("pack", 29), ("unpack", 47),
        *(
            pytest.param(name, 1, marks=pytest.mark.slow)
            for name in ("retry", "pack", "unpack", "repair", "export", "report", "preview")
        ),
    ],
)  # fmt: skip
def test_a_verb_that_is_killed_at_the_nth_call_that_changes_a_file_is_ended_by_the_same_command(
    made: dict[str, Scene],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    step: int,
    record_property: Callable[[str, object], None],
) -> None:
    scene, words = made[name], tmp_path / "words"
    scene.set_up()
    _until_done(scene, words)
    undisturbed = scene.result()
    killed = 0
    while True:
        scene.set_up()
        with monkeypatch.context() as patch:
            patch.setenv("TOY_DIES_AT", str(1 + step * killed))
            patch.setenv("TOY_DIES_BELOW", str(scene.place))
            process = verbs.start(scene.verb, words, **scene.given)
            process.join(PATIENCE)
        if process.exitcode != -signal.SIGKILL:
            assert process.exitcode in scene.done
            break
        killed += 1
        _until_done(scene, words)
        assert scene.result() == undisturbed, killed
        assert not list(scene.place.rglob("*.partial*"))
    record_property("figure", f"killed at each of {killed} calls" if step == 1 else f"{killed} kills")
    assert killed
