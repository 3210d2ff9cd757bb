"""Rows on runs of many files, frames and workers: what comes beside their frames."""

from __future__ import annotations

import statistics

import many_files
import million
import scheduler
import store_files
from rows import Asked, Row
from whole_run import HERE, kernels, write_particle, write_stack

from stemdask.model import Kind
from stemdask.planning.plan import frames_of_block
from stemdask.store import shards


def files(asked: Asked) -> list[Row]:
    """Return the wall clock of plans of many files on a slow file system."""
    n_files, rows = 100_000, []
    for half, write in many_files.HALVES.items():
        (asked.folder / half).mkdir()
        named = write(asked.folder / half, n_files)
        found = [many_files.planned(named, n_files, 1.0, asked.folder) for _ in range(asked.rounds)]
        cpu, operations = (statistics.median(one) for one in ([f.cpu for f in found], [f.operations for f in found]))
        beside = f"{operations:.1f} operations per file; {cpu:.1f} s of CPU time"
        what = f"plan of {n_files:,} files of one {half.removesuffix('s')} each, 1 ms per operation"
        rows.append(Row(what, [one.wall for one in found], "60", beside, "wall clock [s]"))
    return rows


def million_frames(asked: Asked) -> list[Row]:
    """Return what commands on a finished run of a million frames take, in the blocks of particles of 405 atoms."""
    n_frames = 1_000_000
    config, n_blocks, seconds, held = million.finished(
        asked.folder, n_frames, frames_of_block("atoms", n_frames, cost=405)
    )
    unit, of_run = "CPU time [s]", f"{n_frames:,} frames in {n_blocks:,} blocks"
    rows = [Row(f"plan and dispatch {of_run}", [seconds], "–", f"driver {held:.0f} MiB, aim 300", unit)]
    for what, aim in {"resume": "5", "status": "2", "open": "2"}.items():
        found = [million.command(what, config) for _ in range(asked.rounds)]
        took = [seconds for seconds, _ in found]
        rows.append(Row(f"{what} when finished", took, aim, f"{max(held for _, held in found):.0f} MiB", unit))
    return rows


def thousand_workers(asked: Asked) -> list[Row]:
    """Return the part of their time that a thousand simulated workers of long runs are at work."""
    n_frames, n_workers = 10**8, 1000  # blocks are then as large as they get
    particles = [asked.folder / "few.xyz", asked.folder / "more.xyz"]
    n_atoms, _ = (write_particle(path, 23.0, n) for path, n in zip(particles, (100, 300), strict=True))
    stacks = [write_stack(asked.folder / name, n, 512) for name, n in (("few.npy", 8), ("more.npy", 24))]
    # What comes once before isn't the frames'.
    frame_seconds = {
        "images": (kernels(stacks[1], HERE) - kernels(stacks[0], HERE)) / 16,
        "atoms": (kernels(particles[1], HERE) - kernels(particles[0], HERE)) / 200,
    }
    costs = [scheduler.measured(60, 0.5)[0] for _ in range(asked.rounds)]
    driver = 1000 * statistics.median(each.driver for each in costs)
    of_thousand = 1000 * statistics.median(each.of_driver(n_workers) for each in costs)
    between = 1000 * statistics.median(each.worker for each in costs)
    rows = []
    halves: tuple[tuple[Kind, int, str], ...] = (("images", 512 * 512, "512²"), ("atoms", n_atoms, f"{n_atoms} atoms"))
    for kind, size, frame in halves:
        n = frames_of_block(kind, n_frames, size)
        seconds = n * frame_seconds[kind]
        found = [scheduler.efficiency(n_workers, seconds, each) for each in costs]
        beside = (
            f"blocks of {seconds:.1f} s; each takes {of_thousand:.1f} ms of the driver, {driver:.1f} ms of it its own, "
            f"and {between:.1f} ms between two"
        )
        rows.append(
            Row(f"{n_workers:,} workers, blocks of {n:,} frames of {frame}", found, "0.8", beside, "efficiency")
        )
    return rows


def files_of_store(asked: Asked) -> list[Row]:
    """Return the number of files that a long run leaves, and that of the packed store."""
    found = store_files.of_images(10_000, 1024, asked.folder)
    beside = f"{found.blocks:,} blocks of {found.block_frames} frames, {found.variables} arrays"
    run = "10,000 frames of 1024², the usual analyses"
    return [
        Row(f"{run}, as the run leaves it", [found.files], "–", beside, "files"),
        Row(f"{run}, packed", [found.packed], "5,000", f"shards of up to {shards.CHUNKS} blocks", "files"),
    ]
