"""What it takes to join the chunks of a variable into shards, and to read it before and after.

    python benchmarks/shards.py [--frames 3000] [--columns 40000]

Joined as `stemdask pack` does it, which checks each chunk against its checksum and decodes none.
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
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from stemdask.store import shards
from stemdask.store.chunks import Chunks
from stemdask.store.pack import join

_NAME = "values"


def spent(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU time of an action, s, and what it returns."""
    start = time.process_time()
    found = action()
    return time.process_time() - start, found


def joined(plain: Path, new: Path) -> None:
    """Join the chunks of the variable of a store into shards of another one."""
    chunks = Chunks(zarr.open_group(plain, mode="r")[_NAME], plain, _NAME)
    zarr.create_group(new)
    n = shards.length(len(chunks.rows), chunks.chunk_bytes)
    join(chunks, n, new)
    described = shards.joined(json.loads((plain / _NAME / "zarr.json").read_text()), n)
    (new / _NAME / "zarr.json").write_text(json.dumps(described))


def told(store: Path, values: np.ndarray) -> str:
    """Read a store and say what that took."""
    array = zarr.open_group(store, mode="r")[_NAME]
    whole, found = spent(lambda: array[...])
    assert np.array_equal(found, values)
    some = range(0, len(values), max(1, len(values) // 50))
    one, _ = spent(lambda: [array[frame] for frame in some])
    with xr.open_zarr(store, consolidated=False, chunks=None) as opened:
        by_xarray, found = spent(lambda: opened[_NAME].values)
    assert np.array_equal(found, values)
    files = sum(file.is_file() for file in (store / _NAME).rglob("*"))
    return (
        f"{files:6d} files; all frames {whole:.2f} CPU-s by zarr, {by_xarray:.2f} by xarray; "
        f"one frame {1e3 * one / len(some):.2f} CPU-ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--columns", type=int, default=40_000)
    asked = parser.parse_args()
    shape = (asked.frames, asked.columns)
    values = np.random.default_rng(0).normal(size=shape)
    with tempfile.TemporaryDirectory() as name:
        plain, new = Path(name) / "plain.zarr", Path(name) / "joined.zarr"
        array = zarr.create_group(plain).create_array(
            _NAME,
            shape=shape,
            chunks=(1, shape[1]),
            dtype="float64",
            compressors=[ZstdCodec(), Crc32cCodec()],
            dimension_names=("frame", "column"),
        )
        seconds, _ = spent(lambda: array.__setitem__(..., values))
        print(f"{'written':10s} {1e3 * seconds / len(values):6.2f} CPU-ms per chunk")
        seconds, _ = spent(lambda: joined(plain, new))
        print(f"{'joined':10s} {1e3 * seconds / len(values):6.2f} CPU-ms per chunk")
        for what, store in (("plain", plain), ("joined", new)):
            print(f"{what:10s} {told(store, values)}")


if __name__ == "__main__":
    main()
