"""Opening a store and showing the progress of its run; neither needs a cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from stemdask.model import FrameStatus
from stemdask.results import accessor as accessor  # registers `tree.stemdask`
from stemdask.results import described
from stemdask.store import layout, lock, place, statuses
from stemdask.store.layout import open_group
from stemdask.store.verify import Damage, verify

__all__ = ["Damage", "Status", "open_results", "status", "verify"]

#: Frames without results that are named one by one.
NAMED = 20


@dataclass(frozen=True, slots=True)
class Status:
    """The progress of a run."""

    store: Path
    state: str
    """``running``, ``complete`` or ``partial``, as left by the last driver; ``not running`` where it was killed."""
    counts: Mapping[FrameStatus, int]
    bad: tuple[tuple[int, str, str, str, str], ...]
    """Frames without results: index, status, file, reason, where it ran."""
    event: str = ""
    """What the last driver noted last, if every frame is done and yet the run isn't complete."""

    def text(self) -> str:
        """Return it as lines for a terminal."""
        total = sum(self.counts.values())
        done = total - self.counts[FrameStatus.PENDING]
        parts = [f"{n} {status.name.lower()}" for status, n in self.counts.items() if n]
        lines = [f"{self.store}: {self.state}, {done} of {total} frames done ({', '.join(parts)})"]
        if self.event:
            lines.append(f"  {self.event}; run the same command again, which repeats only what comes after the frames")
        lines += [
            f"  frame {index}  {name}  {file}  {reason}  [{where}]" for index, name, file, reason, where in self.bad
        ]
        more = self.counts[FrameStatus.FAILED] + self.counts[FrameStatus.OVERFLOW] - len(self.bad)
        if more > 0:
            lines.append(f"  and {more} more")
        if self.bad:
            logs = layout.run_directory(self.store)
            lines.append(f"  logs: {logs}/log" + (f", {logs}/jobs/JOB.log" if (logs / "jobs").exists() else ""))
        return "\n".join(lines)


def open_results(path: str | Path) -> xr.DataTree:
    """Open a store lazily as an xarray DataTree; ``tree.stemdask`` has tables and figures.

    Each group has its coordinates, also those that the store keeps in another group (time, positions of cells), and the
    number of its items in each frame.

    Parameters
    ----------
    path
        Folder of the store, ``.zarr``.

    Returns
    -------
    xarray.DataTree
        One group per analysis; dimensions `frame` and `column`, `cell`, `atom` or `bond`, padded to the largest frame.
        Units are attributes of the variables.

    Raises
    ------
    StoreError
        It isn't a store written by stemdask.

    Examples
    --------
    >>> import stemdask as sd
    >>> tree = sd.open_results("stack.zarr")
    >>> tree["displacement"].u.dims
    ('frame', 'cell')
    """
    place.check_store(Path(path))
    return described.complete(xr.open_datatree(str(path), engine="zarr"))


def status(path: str | Path, named: int = NAMED) -> Status:
    """Read the progress of a run and which frames have no results; it may be running at the same time.

    Raises
    ------
    StoreError
        It isn't a store written by stemdask.
    """
    store = Path(path)
    place.check_store(store)
    folder = layout.run_directory(store)
    abandoned = lock.is_free(folder)
    root = open_group(store)
    found = statuses.read_statuses(store)
    bad = np.flatnonzero((found == FrameStatus.FAILED) | (found == FrameStatus.OVERFLOW))[:named]
    rows = []
    for index in bad.tolist():
        texts = [str(root[f"frames/{name}"][index]) for name in ("file", "error", "worker")]
        rows.append((index, FrameStatus(int(found[index])).name.lower(), texts[0], texts[1], texts[2]))
    state, counts = str(root.attrs["state"]), statuses.count(found)
    if state == "running" and abandoned and lock.is_free(folder):  # twice: a driver may have begun in between
        state = "not running"
    stuck = state == "partial" and not counts[FrameStatus.PENDING]
    return Status(store, state, counts, tuple(rows), _last_event(str(root.attrs["history"])) if stuck else "")


def _last_event(history: str) -> str:
    """Return what the last line of a history says, without who says so and when."""
    return re.sub(r"^\S+ stemdask \S+: ", "", history.rpartition("\n")[2])
