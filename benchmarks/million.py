"""What a run of a million frames costs beside its frames: plan, dispatch, resume, status, opening, memory.

    python benchmarks/million.py [--frames 1000000] [--block-frames 100]

The frames are structures of four atoms. No frame is analysed but those that are tried: each block is acknowledged at
once, and the store gets the statuses of a run that has ended.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.engine.block import Ack
from stemdask.engine.workers import local
from stemdask.model import Block, FrameStatus
from stemdask.store import layout

COMMANDS = {
    "resume": "from stemdask.engine.run import run; run({config!r})",
    "status": "from stemdask.results.reader import status; status({store!r}).text()",
    "open": "from stemdask import open_results; open_results({store!r})['frames/frame_status'].shape",
}


def settings(folder: Path, n_frames: int, block_frames: int | str) -> dict[str, object]:
    """Write the input; return the config of the run."""
    rng = np.random.default_rng(0)
    positions = np.array([[0, 0, 0], [2.8, 0, 0], [0, 2.8, 0], [0, 0, 2.8]])
    np.save(folder / "tiny.npy", (positions + rng.normal(0, 0.05, (n_frames, 4, 3))).astype(np.float32))
    return {
        "input": {"path": str(folder / "tiny.npy"), "kind": "atoms"},
        "output": str(folder / "tiny.zarr"),
        "analyses": {"shape": {}},
        "cluster": {"kind": "inline"},
        "block_frames": block_frames,
    }


@contextmanager
def acknowledged_at_once(store: Path) -> Iterator[None]:
    """Have each block acknowledged with nothing done but its status."""
    do_block = local.do_block

    def acknowledge(path: str, block: Block, *more: object) -> Ack:
        return Ack(block.index, {FrameStatus.OK: block.stop - block.start}, 0.0)

    local.do_block = acknowledge  # type: ignore[assignment]
    try:
        yield
    finally:
        local.do_block = do_block


def spent(action: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU time of this process for an action, s, and the memory that it holds then, MiB."""
    start = time.process_time()
    action()
    return time.process_time() - start, psutil.Process().memory_info().rss / 2**20


def finished(folder: Path, n_frames: int, block_frames: int | str) -> tuple[dict[str, object], int, float, float]:
    """Plan and dispatch a run of so many frames, and have its store say that all are done.

    Returns
    -------
    config, blocks
        Of the run.
    seconds, held
        CPU time of planning and dispatching, s, and the memory of this process after it, MiB.
    """
    config = settings(folder, n_frames, block_frames)
    store = Path(str(config["output"]))
    with acknowledged_at_once(store):
        seconds, held = spent(lambda: engine.execute(Document(dict(config))))
    status = layout.writable(layout.open_group(store, "r+"), layout.STATUS)
    status[...] = np.full(n_frames, FrameStatus.OK, np.int8)
    layout.set_state(store, "complete")
    return config, status.nchunks, seconds, held


def command(what: str, config: dict[str, object]) -> tuple[float, float]:
    """Return the CPU time of a command on a finished run, imports included, s, and its memory, MiB."""
    code = COMMANDS[what].format(config=config, store=str(config["output"])) + "\nimport time, psutil\n"
    code += "print(time.process_time(), psutil.Process().memory_info().rss / 2**20)"
    seconds, held = subprocess.check_output([sys.executable, "-c", code], env=os.environ, text=True).split()
    return float(seconds), float(held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--block-frames", type=int)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        before = psutil.Process().memory_info().rss / 2**20
        config, n_blocks, seconds, held = finished(Path(name), asked.frames, asked.block_frames or "auto")
        print(f"{'plan and dispatch':18s} {seconds:7.2f} CPU-s, driver {before:.0f} -> {held:.0f} MiB")
        print(f"{'blocks':18s} {n_blocks}")
        for what in COMMANDS:
            seconds, held = command(what, config)
            print(f"{what:18s} {seconds:7.2f} CPU-s, {held:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
