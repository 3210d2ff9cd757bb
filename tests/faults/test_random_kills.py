"""Whatever is killed at whatever moment of whatever verb, the same command ends the work with the same bytes."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import toy
import verbs

from stemdask.results import reader

pytestmark = pytest.mark.processes

#: A verb is killed at most so often before it may end.
IN_A_ROW = 4
DONE = {0, 3}


@dataclass
class Scene:
    """A verb that is killed."""

    verb: str
    given: dict[str, Any]
    words: Path
    place: Path
    """Folder that holds all it writes."""
    result: Callable[[], object]
    """What is there when it has ended."""
    done: set[int] = field(default_factory=lambda: {0})
    """Exit codes with which it has ended its work."""
    before: Path | None = None
    """Folder whose copy it finds in its place; none when absent."""

    def set_up(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        if self.before is None:
            self.place.mkdir()
        else:
            shutil.copytree(self.before, self.place)

    def phase(self) -> str:
        """Return how far the verb has come."""
        if self.verb != "run" or self.before is not None:
            return self.verb
        store = self.place / "o.zarr"
        if not store.exists():
            return "survey" if os.environ.get("TOY_TELLS") and Path(os.environ["TOY_TELLS"]).exists() else "prepare"
        return "run" if toy.blocks_done(store) < 5 else "finish"


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


def _until_done(scene: Scene) -> None:
    """Let the verb end in peace."""
    process = verbs.start(scene.verb, scene.words, **scene.given)
    process.join(240)
    assert process.exitcode in scene.done, f"{scene.verb}: {process.exitcode} {scene.words.read_text()[-400:]}"


def _campaign(scene: Scene, n_kills: int, seed: int) -> Counter[tuple[str, str]]:
    """Kill a verb so often; return how often what was killed in which phase."""
    choose = random.Random(seed)
    scene.set_up()
    start = time.monotonic()
    _until_done(scene)
    seconds = time.monotonic() - start
    undisturbed = scene.result()
    kills: Counter[tuple[str, str]] = Counter()
    while kills.total() < n_kills:
        scene.set_up()
        for _ in range(choose.randint(1, min(IN_A_ROW, n_kills - kills.total()))):
            process = verbs.start(scene.verb, scene.words, **scene.given)
            process.join(choose.uniform(0, seconds))
            if process.exitcode is not None:
                break
            victim = choose.choice(["driver", "one of its processes", "group"])
            kills[victim, scene.phase()] += 1
            _kill(process, victim, choose)
            process.join(240)
            assert process.exitcode is not None, f"{scene.verb} hangs after a kill of {victim}"
        _until_done(scene)
        assert scene.result() == undisturbed
        assert not list(scene.place.rglob("*.partial"))
    return kills


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scene]]:
    folder = tmp_path_factory.mktemp("campaign")
    os.environ["TOY_TELLS"] = str(folder / "place" / "told")
    toy.write_frames(folder / "f.npy", 20, {7: "refuse", 9: "many", 18: "raise"})
    yield _scenes(folder)
    del os.environ["TOY_TELLS"]


def _scenes(folder: Path) -> dict[str, Scene]:
    place, words = folder / "place", folder / "words"
    store = place / "o.zarr"
    data = toy.config(folder / "f.npy", store, "inline", params={"seconds": 0.01, "once": 0.2})
    workers = {"kind": "processes", "workers": 2}

    def contents() -> object:
        assert reader.verify(store).sound
        return toy.contents(store)

    def files(where: Path) -> Callable[[], object]:
        # Its list of its own files holds their times.
        return lambda: {path.name: path.read_bytes() for path in sorted(where.rglob("[!.]*")) if path.is_file()}

    run = Scene("run", {"data": data}, words, place, contents, done=DONE)
    run.set_up()
    _until_done(run)
    shutil.copytree(place, complete := folder / "complete")
    shutil.copytree(place, damaged := folder / "damaged")
    _damage(damaged / "o.zarr")
    again = {"words": words, "place": place, "result": contents, "done": DONE, "before": complete}
    of_store = {"words": words, "place": place, "before": complete}
    out = place / "out"
    return {
        "run": run,
        "processes": Scene("run", {"data": data | {"cluster": workers}}, words, place, contents, done=DONE),
        "retry": Scene("run", {"data": data, "retry": "failed"}, **again),
        "grow": Scene("run", {"data": data, "retry": "overflow"}, **again),
        "repair": Scene(
            "repair", {"store": str(store)}, words, place, lambda: _repaired(store), done={0, 1}, before=damaged
        ),
        "export": Scene("export", {"store": str(store), "to": str(out)}, result=files(out), **of_store),
        "report": Scene("report", {"store": str(store), "to": str(out)}, result=files(out), **of_store),
    }


def _damage(store: Path) -> None:
    """Flip a bit in a chunk, in metadata of an array and in those of the root."""
    for name in ("toy/mean/c/1", "columns/y/zarr.json", "zarr.json"):
        data = bytearray((store / name).read_bytes())
        data[len(data) // 2] ^= 4
        (store / name).write_bytes(data)


def _repaired(store: Path) -> object:
    return toy.contents(store), reader.status(store).state, reader.verify(store).damaged


@pytest.mark.parametrize(
    ("name", "n_kills"),
    [
        ("run", 4), ("retry", 2), ("grow", 2), ("repair", 5), ("export", 5), ("report", 3),
        *(
            pytest.param(name, n, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
            for name, n in (
                ("run", 60), ("processes", 40), ("retry", 20), ("grow", 20),
                ("repair", 30), ("export", 30), ("report", 20),
            )
        ),
    ],
)  # fmt: skip
def test_a_verb_that_is_killed_at_random_is_ended_by_the_same_command(
    made: dict[str, Scene], name: str, n_kills: int, record_property: Callable[[str, object], None]
) -> None:
    kills = _campaign(made[name], n_kills, seed=n_kills)
    told = ", ".join(f"{n} of {victim} in {phase}" for (victim, phase), n in sorted(kills.items()))
    record_property("figure", f"{kills.total()} kills: {told}")
    assert kills.total() >= n_kills
