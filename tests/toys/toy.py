"""Toy analyses whose results are plain and whose frames can be told to do harm; the first pixel says what."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.analyses import registry
from stemdask.errors import FrameError
from stemdask.model import Analysis, Array, Frame, ImageFrame, Params, Stack, Variable

#: What a frame does whose first pixel holds this number.
HARMS = (
    "nothing", "raise", "refuse", "segv", "abort", "exit", "memory", "loop", "gil", "system_exit", "recursion", "print",
    "empty", "many", "kill", "key", "fill",
)  # fmt: skip


class ToyParams(Params):
    """Parameters of the toy."""

    factor: float = 2.0
    """Multiplies."""
    seconds: float = 0.0
    """Time of a frame, s."""
    pause: str = ""
    """Store after whose `pause_after` blocks frames wait for `go_on`; none when absent."""
    pause_after: int = 2
    """Blocks."""
    looks: float = 0.01
    """Time between two looks whether a pause is over, s."""
    after: str = ""
    """File that says what harm is done when all frames are; none where it isn't there."""
    once: float = 0.0
    """Time of what comes once before, and of each block of what comes once after, s."""


HANDED_ON = Variable("toy/handed_on", ("frame", "part"), "float64", "1", "for a later analysis", stored=False)


def outputs(params: ToyParams) -> tuple[Variable, ...]:
    return (
        Variable("toy/reference", ("bin",), "float64", "nm", "a constant", stage="prepare"),
        Variable("toy/mean", ("frame",), "float64", "nm", "mean", error="toy/mean_err"),
        Variable("toy/mean_err", ("frame",), "float32", "nm", "its standard error"),
        Variable("toy/profile", ("frame", "bin"), "float32", "pm", "profile"),
        Variable("columns/y", ("frame", "column"), "float64", "nm", "position"),
        Variable("columns/kind", ("frame", "column"), "int8", "1", "kind", flags={-1: "none", 0: "a b"}),
        HANDED_ON,
        Variable("toy/rank", ("frame",), "int32", "1", "rank of the mean", stage="finish"),
        Variable("toy/total", ("part",), "float64", "nm", "sums", stage="finish"),
    )


def prepare(frames: Sequence[Frame], params: ToyParams) -> Mapping[str, Array]:
    first = frames[0]
    assert isinstance(first, ImageFrame)
    time.sleep(params.once)
    tell("prepared")
    return {"toy/reference": np.arange(4.0) * params.factor + first.pixels[-1, -1]}


def run(frame: ImageFrame, params: ToyParams) -> Mapping[str, Array]:
    harm = HARMS[int(frame.pixels[0, 0])]
    if params.seconds:
        time.sleep(params.seconds)
    if params.pause:
        with Path(f"{params.pause}.begun").open("a") as file:
            file.write(f"{frame.index} {os.getsid(0)}\n")
    while params.pause and blocks_done(Path(params.pause)) >= params.pause_after and not _may_go_on(params.pause):
        time.sleep(params.looks)
    _DO.get(harm, lambda: None)()
    n = {"empty": 0, "many": 500}.get(harm, 3 + frame.index % 3)
    mean = float(frame.pixels[1:].mean()) * params.factor
    return {
        HANDED_ON.path: np.ones(3),
        "toy/mean": mean,
        "toy/mean_err": np.float32(0.5),
        "toy/profile": (frame.results["toy/reference"] + mean).astype(np.float32),
        "columns/y": np.arange(n) + mean,
        "columns/kind": np.zeros(n, np.int8),
    }


def finish(stack: Stack, params: ToyParams) -> None:
    if params.after and Path(params.after).exists():
        _DO[Path(params.after).read_text()]()
    mean = stack.read("toy/mean")
    rank = np.argsort(np.argsort(mean)).astype(np.int32)
    for block in stack.blocks:
        time.sleep(params.once)
        stack.write("toy/rank", rank[block], block)
    stack.write("toy/total", np.array([np.nansum(mean), stack.n_frames]))
    stack.set_attributes("toy", {"method": "rank"})


ANALYSIS = Analysis("toy", "images", "a toy", ToyParams, outputs, None, prepare=prepare, run=run, finish=finish)


def tell(word: str) -> None:
    """Add a word to the file that TOY_TELLS names, if it names one: how far a run has come."""
    if told := os.environ.get("TOY_TELLS"):
        with Path(told).open("a") as file:
            file.write(f"{word}\n")


#: What `install` puts into the registry.
NAMES = ("toy", "brightness")


def install() -> None:
    """Put the toy, and one to add to it, into the registry of this process."""
    registry.TABLE["images", "toy"] = __name__
    registry.TABLE["images", "brightness"] = "brightness"


def remove() -> None:
    """Take them out of the registry again."""
    for name in NAMES:
        registry.TABLE.pop(("images", name), None)


def write_frames(path: Path, n: int, harms: Mapping[int, str] | None = None, size: int = 16) -> Path:
    """Write a stack of frames, some of which do harm."""
    pixels = np.random.default_rng(1).uniform(0, 1, (n, size, size)).astype(np.float32)
    pixels[:, 0, 0] = 0
    for index, harm in (harms or {}).items():
        pixels[index, 0, 0] = HARMS.index(harm)
    np.save(path, pixels)
    return path


def config(path: Path, output: Path, cluster: Mapping[str, Any] | str = "inline", **more: Any) -> dict[str, Any]:
    """Return a config of the toy."""
    chosen = {"kind": cluster} if isinstance(cluster, str) else dict(cluster)
    if chosen["kind"] != "inline":
        chosen.setdefault("workers", 2)
    params = more.pop("params", {})
    return {
        "input": {"path": str(path), "pixel_size": "0.02 nm"},
        "output": str(output),
        "analyses": {"toy": params},
        "cluster": chosen,
        "block_frames": 4,
        **more,
    }


def _refuse() -> None:
    raise FrameError("the frame is too dark")


def _raise() -> None:
    raise ValueError(f"a bad\nframe {object()}")


def _memory() -> None:
    held = []
    while True:
        held.append(np.empty(2**24))


def _fill() -> None:
    np.ones(1100 * 2**20, np.uint8)


def _loop() -> None:
    while True:
        pass


def _gil() -> None:
    ctypes.PyDLL(None).sleep(1000)


def _recursion() -> None:
    def down(n: int) -> int:
        return down(n + 1) + 1

    down(0)


def _print() -> None:
    sys.stdout.write("x" * 1_000_000)
    os.write(1, b"y" * 1_000_000)


_DO = {
    "key": lambda: {}["a key"],
    "raise": _raise,
    "refuse": _refuse,
    "segv": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "memory": _memory,
    "fill": _fill,
    "loop": _loop,
    "gil": _gil,
    "system_exit": sys.exit,
    "recursion": _recursion,
    "print": _print,
    "kill": lambda: os.kill(os.getpid(), 9),
}


def contents(store: Path) -> dict[str, bytes]:
    """Return all that must not differ between two runs of the same input and config: every chunk but clocks."""
    from stemdask.store.layout import VOLATILE

    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != "zarr.json" and not str(path.relative_to(store)).startswith(VOLATILE)
    }


def pausing(store: Path, after: int = 2) -> dict[str, Any]:
    """Return parameters with which a run of a store pauses once so many of its blocks are done, until `go_on`."""
    return {"pause": str(store), "pause_after": after}


def go_on(store: Path) -> None:
    """Let a run that pauses go on, and later ones of the store not pause at all."""
    Path(f"{store}.go_on").touch()


def frames_done_twice(store: Path, drivers: Collection[int]) -> int:
    """Return how often a worker of a run that pauses began a frame again; a driver and its helper try some before.

    Each driver leads a session of its own.
    """
    lines = [line.split() for line in Path(f"{store}.begun").read_text().splitlines()]
    begun = [index for index, session in lines if int(session) not in drivers]
    return len(begun) - len(set(begun))


def _may_go_on(store: str) -> bool:
    return Path(f"{store}.go_on").exists()


def drive(data: Mapping[str, Any], **how: Any) -> subprocess.Popen[bytes]:
    """Start a run in a process of its own, with its own process group; what it says goes to `words_of`."""
    command = [sys.executable, str(Path(__file__).with_name("drive.py")), json.dumps(data), json.dumps(how)]
    with Path(f"{data['output']}.words").open("wb") as words:
        return subprocess.Popen(command, stderr=words, start_new_session=True)


def words_of(store: Path) -> str:
    """Return what the last driven run of a store said."""
    return Path(f"{store}.words").read_text()


def wait_until(true: Callable[[], object], seconds: float = 180.0) -> None:
    """Wait for something to be true; fail where it takes too long."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def blocks_done(store: Path) -> int:
    """Return how many blocks of a store have a status."""
    return len(list((store / "frames/frame_status/c").glob("[0-9]*"))) if store.exists() else 0
