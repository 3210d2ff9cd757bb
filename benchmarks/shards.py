"""What it takes to join the chunks of a variable to shards, and to read these: fewer files, the same bytes.

    python benchmarks/shards.py [--frames 3000] [--columns 40000] [--chunks 64]

A shard of zarr is its chunks one after the other as they are, and a table of where each stands: none is decoded.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from google_crc32c import value as crc32c
from zarr.codecs import Crc32cCodec, ZstdCodec

_MISSING = 2**64 - 1


def join(source: Path, target: Path, chunks: int) -> None:
    """Write an array of (frame, column) anew whose shards hold so many chunks of one block each."""
    described = json.loads((source / "zarr.json").read_text())
    grid = described["chunk_grid"]["configuration"]
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    inner = {"chunk_shape": grid["chunk_shape"], "codecs": described["codecs"], "index_codecs": index}
    described["codecs"] = [{"name": "sharding_indexed", "configuration": {**inner, "index_location": "end"}}]
    n_blocks = -(-described["shape"][0] // grid["chunk_shape"][0])
    grid["chunk_shape"] = [chunks * grid["chunk_shape"][0], *grid["chunk_shape"][1:]]
    target.mkdir(parents=True)
    (target / "zarr.json").write_text(json.dumps(described))
    for shard in range(-(-n_blocks // chunks)):
        blocks = range(shard * chunks, min((shard + 1) * chunks, n_blocks))
        parts = [(source / "c" / str(block) / "0").read_bytes() for block in blocks]
        table = np.full((chunks, 2), _MISSING, "<u8")
        table[: len(parts), 1] = [len(part) for part in parts]
        table[: len(parts), 0] = np.cumsum([0, *map(len, parts[:-1])])
        end = table.tobytes()
        (target / "c" / str(shard)).mkdir(parents=True)
        (target / "c" / str(shard) / "0").write_bytes(b"".join([*parts, end, crc32c(end).to_bytes(4, "little")]))


def spent(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU time of an action, s, and what it returns."""
    start = time.process_time()
    found = action()
    return time.process_time() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--columns", type=int, default=40_000)
    parser.add_argument("--chunks", type=int, default=64)
    asked = parser.parse_args()
    shape = (asked.frames, asked.columns)
    values = np.random.default_rng(0).normal(size=shape)
    with tempfile.TemporaryDirectory() as name:
        plain, joined = Path(name) / "plain", Path(name) / "joined"
        codecs = [ZstdCodec(), Crc32cCodec()]
        array = zarr.create_array(plain, shape=shape, chunks=(1, shape[1]), dtype="float64", compressors=codecs)
        seconds, _ = spent(lambda: array.__setitem__(..., values))
        print(f"{'written':10s} {1e3 * seconds / len(values):6.2f} CPU-ms per chunk")
        seconds, _ = spent(lambda: join(plain, joined, asked.chunks))
        print(f"{'joined':10s} {1e3 * seconds / len(values):6.2f} CPU-ms per chunk")
        for path in (plain, joined):
            read = zarr.open_array(path, mode="r")
            whole, found = spent(lambda read=read: read[...])
            assert np.array_equal(found, values)
            some = range(0, len(values), max(1, len(values) // 50))
            one, _ = spent(lambda read=read, some=some: [read[frame] for frame in some])
            files = sum(file.is_file() for file in path.rglob("*"))
            print(
                f"{path.name:10s} {files:6d} files; all {whole:.2f} CPU-s, one frame {1e3 * one / len(some):.2f} CPU-ms"
            )


if __name__ == "__main__":
    main()
