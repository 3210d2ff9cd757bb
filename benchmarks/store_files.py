"""How many files the store of a long run has, as the run leaves it and packed.

    python benchmarks/store_files.py [--frames 10000] [--side 1024]

The input has its full size, but only frames that are tried are written to it. The arrays are created as a run creates
them; those that come once after are, too, one item long where only the frames say how many there are. Then each chunk
becomes a file, of a few bytes with their checksum where nobody decodes it, and the store is packed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np

from stemdask import simulate
from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import FrameStatus
from stemdask.planning.plan import blocks, draw
from stemdask.planning.resolve import resolve
from stemdask.planning.survey import survey
from stemdask.planning.tried import spread
from stemdask.store import layout, metadata
from stemdask.store.chunks import Chunks
from stemdask.store.pack import pack

_CHUNK = b"a few bytes"


class Laid(NamedTuple):
    """How a store is laid out."""

    blocks: int
    block_frames: int
    variables: int
    files: int
    """As a run leaves it."""
    packed: int
    """Once it is packed."""


def laid_out(config: dict[str, Any]) -> Laid:
    """Lay out the store of a run without running it, and pack it; return what it holds, without its run directory."""
    resolved = resolve(Document(config))
    found = survey(resolved)
    store = Path(config["output"])
    plan = draw(resolved, found, store)
    layout.create(plan, found.prepared, store)
    root = layout.open_group(store, "r+")
    for variable in chain.declared(plan.source.kind, plan.steps):
        if variable.stage == "finish":
            shape = tuple(plan.sizes.get(dim, 1) for dim in variable.dims)
            layout.create_array(root, variable, shape, plan)
    nodes = dict(root.members(max_depth=None))
    arrays = {path: node for path, node in nodes.items() if hasattr(node, "nchunks")}
    for path, array in arrays.items():
        _fill(Chunks(array, store, path))
    metadata.update(store, {"state": "complete"}, nodes)
    packed = pack(store)
    return Laid(len(blocks(plan)), plan.block_frames, len(arrays), packed.before, packed.after)


def _fill(chunks: Chunks) -> None:
    """Give an array all the files that it has once a run is complete."""
    for row in chunks.rows:
        if chunks.path == layout.STATUS:
            chunks.write(row, np.full(min(chunks.size[0], chunks.shape[0] - row * chunks.size[0]), FrameStatus.OK))
            continue
        for key in chunks.keys(row):
            file = chunks.store / chunks.name(key)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_CHUNK + google_crc32c.value(_CHUNK).to_bytes(4, "little"))


def images(path: Path, n_frames: int, side: int) -> None:
    """Write a stack of which only the frames that a plan tries hold anything, and take space."""
    drawn, _ = simulate.perovskite((side, side), seed=1)
    stack = np.lib.format.open_memmap(path, "w+", np.float32, (n_frames, side, side))
    for index in spread(n_frames):
        stack[index] = drawn
    stack.flush()


def of_images(n_frames: int, side: int, folder: Path) -> Laid:
    """Return how the store of so many images with the usual analyses is laid out."""
    images(folder / "long.npy", n_frames, side)
    return laid_out({"input": {"path": str(folder / "long.npy")}, "output": str(folder / "long.zarr")})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=1024)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = of_images(asked.frames, asked.side, Path(name))
    print(
        f"{found.files:,} files, {found.packed:,} once packed: "
        f"{found.blocks:,} blocks of {found.block_frames} frames, {found.variables} arrays"
    )


if __name__ == "__main__":
    main()
