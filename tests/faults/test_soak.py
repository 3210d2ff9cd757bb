"""A long run of small frames whose processes are killed again and again: nothing grows, nothing is lost."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import toy

from stemdask.engine.run import run
from stemdask.results import reader
from stemdask.sources.opening import open_source

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(6 * 3600)]

N_ATOMS = 50
#: Frames; more by STEMDASK_SOAK.
N_FRAMES = int(os.environ.get("STEMDASK_SOAK", "10000"))
#: Seconds between two kills.
EVERY = 60.0
#: Frames after which a driver is looked at.
LOADED = 500
MIB = 2**20


def _parts(structure: Path, path: Path) -> Path:
    """Write frames of an atom and those around it, from all over a real particle."""
    frame = open_source(structure).read(0)
    distance = np.linalg.norm(frame.positions[:, None] - frame.positions, axis=2)
    around = frame.positions[np.argsort(distance)[:, :N_ATOMS]]
    choose = np.random.default_rng(0)
    with path.open("w") as file:
        for k in range(N_FRAMES):
            part = around[k % len(around)] + choose.normal(0, 0.05, (N_ATOMS, 3))
            rows = "".join(f"Pt {x:.3f} {y:.3f} {z:.3f}\n" for x, y, z in part)
            file.write(f"{N_ATOMS}\ntime={k}\n{rows}")
    return path


def _config(frames: Path, store: Path, kind: str) -> dict[str, Any]:
    return {
        "input": {"path": str(frames)},
        "output": str(store),
        "analyses": {"bond_order": {"cutoff": "3.41 angstrom"}},
        "cluster": {"kind": kind, "workers": 2},
        "block_frames": 50,
    }


def _sizes(told: Path) -> list[tuple[int, int]]:
    """Return frames done and the memory of a driver, from when it had done some and has loaded what it needs."""
    lines = [line.split() for line in told.read_text().splitlines()] if told.exists() else []
    return [(int(done), int(size)) for done, fresh, size in lines if int(fresh) >= LOADED]


def _by_tenth(drivers: list[list[tuple[int, int]]]) -> str:
    """Say what each driver had when it came to a tenth of the frames, MiB."""
    told = []
    for sizes in drivers:
        at = {10 * done // N_FRAMES: size for done, size in reversed(sizes) if 10 * done >= N_FRAMES}
        told.append(" ".join(f"{size / MIB:.0f}" for _, size in sorted(at.items())) or "none")
    return ", then ".join(told)


def test_a_kill_a_minute_changes_no_byte_and_the_driver_does_not_grow(
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    frames = _parts(reference / "data" / "stage1_docked_ATMS.pdb", tmp_path / "frames.xyz")
    undisturbed = toy.contents(run(_config(frames, tmp_path / "u.zarr", "threads")))
    store = tmp_path / "o.zarr"
    choose = random.Random(0)
    kills, code = 0, None
    drivers: list[list[tuple[int, int]]] = []
    while code not in (0, 3):
        told = tmp_path / f"sizes-{len(drivers)}"
        monkeypatch.setenv("TOY_SIZES", str(told))
        driver = toy.drive(_config(frames, store, "processes"))
        process, next_kill = psutil.Process(driver.pid), time.monotonic() + EVERY
        while (code := driver.poll()) is None:
            time.sleep(1)
            if time.monotonic() < next_kill:
                continue
            with contextlib.suppress(psutil.NoSuchProcess):
                # Every tenth time the driver itself, else any process that it has.
                if victims := [process] if kills % 10 == 9 else process.children(recursive=True):
                    choose.choice(victims).kill()
                    next_kill += EVERY
                    kills += 1
        drivers.append(_sizes(told))
    assert toy.contents(store) == undisturbed
    assert reader.verify(store).sound
    most = max(max(size for _, size in sizes) - sizes[0][1] for sizes in drivers if sizes) / MIB
    record_property(
        "figure",
        f"{N_FRAMES} frames, {kills} kills, bytes equal; no driver of {len(drivers)} grew by more than {most:.0f} MiB: "
        f"MiB at each tenth of the frames {_by_tenth(drivers)}",
    )
    assert kills
    assert most > 0, "no driver lived long enough to tell"
    assert most < 50
