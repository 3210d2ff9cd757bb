"""Verbs whose place is set up for them, and what is there once they have ended; for tests that disturb them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import seeds
import toy
import verbs

from stemdask.results import reader

_DONE = frozenset({0, 3})


@dataclass(frozen=True)
class Scene:
    """A verb that is disturbed."""

    verb: str
    given: dict[str, Any]
    place: Path
    """Folder that holds all it writes."""
    result: Callable[[], object]
    """What is there when it has ended."""
    done: frozenset[int] = frozenset({0})
    """Exit codes with which it has ended its work."""
    before: Path | None = None
    """Folder whose copy it finds in its place; none when absent."""

    def set_up(self) -> None:
        """Put the place back to what the verb finds."""
        shutil.rmtree(self.place, ignore_errors=True)
        if self.before is None:
            self.place.mkdir()
        else:
            shutil.copytree(self.before, self.place)

    def do(self) -> None:
        """Do it here, undisturbed."""
        assert verbs.do(self.verb, **self.given) in self.done


def scenes(folder: Path, frames: Path, params: Mapping[str, Any], **config: Any) -> dict[str, Scene]:
    """Return one scene of each verb that writes: runs of frames of which one is refused, some overflow.

    Parameters
    ----------
    folder
        To work in.
    frames, params, config
        Input, parameters of the toy, and more of the config.
    """
    place = folder / "place"
    store, out = place / "o.zarr", place / "out"
    data = toy.config(frames, store, "inline", params=dict(params), **config)
    more = data | {"analyses": data["analyses"] | {"brightness": {}}}

    def contents() -> object:
        assert reader.verify(store).sound
        return toy.contents(store)

    def repaired() -> object:
        return toy.contents(store), reader.status(store).state, reader.verify(store).damaged

    def files() -> object:
        # The list that a folder keeps of its files holds their times.
        return {path.name: path.read_bytes() for path in sorted(out.rglob("[!.]*")) if path.is_file()}

    def written() -> object:
        assert not any(scratch.iterdir())
        return {path.name: path.read_bytes() for path in sorted(place.iterdir())}

    def untouched() -> object:
        assert not any(scratch.iterdir())
        there = [path for path in sorted(place.rglob("*")) if path.is_file()]
        return {str(path.relative_to(place)): (path.stat().st_mtime_ns, path.read_bytes()) for path in there}

    def made(scene: Scene, name: str) -> Path:
        scene.set_up()
        scene.do()
        return Path(shutil.copytree(place, folder / name))

    run = Scene("run", {"data": data}, place, contents, _DONE)
    complete = made(run, "complete")
    extend = Scene("run", {"data": more}, place, contents, _DONE, complete)
    extended = made(extend, "extended")
    pack = Scene("pack", {"store": str(store)}, place, contents, before=complete)
    packed = made(pack, "packed")
    damaged = Path(shutil.copytree(complete, folder / "damaged"))
    _damage(damaged / "o.zarr")
    structures = str(seeds.write(folder, "xyz"))
    scratch = folder / "scratch"
    scratch.mkdir()
    previewed = {"path": structures, "to": str(place / "p.png"), "scratch": str(scratch)}
    structure = {"input": {"path": structures}, "output": str(place / "never.zarr"), "cluster": {"kind": "inline"}}
    seen = {"store": str(store), "frame": 0, "scratch": str(scratch)}
    of_store = {"store": str(store), "to": str(out)}
    return {
        "run": run,
        "processes": Scene("run", {"data": data | {"cluster": _TWO}}, place, contents, _DONE),
        "retry": Scene("run", {"data": data, "retry": "failed"}, place, contents, _DONE, complete),
        "grow": Scene("run", {"data": data, "retry": "overflow"}, place, contents, _DONE, complete),
        "extend": extend,
        "pack": pack,
        "unpack": Scene("run", {"data": data, "retry": "failed"}, place, contents, _DONE, packed),
        "repair": Scene("repair", {"store": str(store)}, place, repaired, frozenset({0, 1}), damaged),
        "export": Scene("export", of_store, place, files, before=complete),
        "report": Scene("report", of_store, place, files, before=complete),
        "figures": Scene("figures", of_store, place, files, before=extended),
        "preview": Scene("preview", previewed, place, written),
        "tune": Scene("tune", {"data": structure, "to": str(place / "tuned.yaml")}, place, written),
        "tuned": Scene("tuned", {"to": str(place / "tuned.yaml")}, place, written),
        "view": Scene("view", seen, place, untouched, before=complete),
    }


_TWO = {"kind": "processes", "workers": 2}


def _damage(store: Path) -> None:
    """Flip a bit in a chunk, in metadata of an array and in those of the root."""
    for name in ("toy/mean/c/1", "columns/y/zarr.json", "zarr.json"):
        data = bytearray((store / name).read_bytes())
        data[len(data) // 2] ^= 4
        (store / name).write_bytes(data)
