"""The report of a run, and what was found in a few lines, behind the fence: by the process that has read the input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from stemdask.errors import StemdaskError
from stemdask.fence import inside
from stemdask.fence.fence import Died, Fence, Overdue, Raised, lent
from stemdask.model import Array

#: Time that the page may take, s.
_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Written:
    """A report, and the run in a few lines."""

    page: Path
    summary: tuple[str, ...]


def sum_up(store: Path) -> tuple[str, ...]:
    """Return what was found in a run that was finished in this process, a line each, without writing its report.

    Raises
    ------
    StoreError
        As `stemdask.report.summary` does.
    StemdaskError
        The process ended, or was ended for taking too long.
    """
    with _failing_as("summary", store), lent() as fence:
        told = fence.ask("stemdask.report.fenced:summed_up", {"store": str(store)}, seconds=_SECONDS)[0]
    return tuple(told["summary"])


def write(store: Path) -> Written:
    """Write the report of a run that was finished in this process.

    The process behind the fence is still there as a rule, with the packages and kernels that the page needs, too. It
    reads the input itself; where that ends it, another one writes the page without images.

    Raises
    ------
    StoreError, StorageError
        As `stemdask.report.write` does.
    StemdaskError
        The process ended, or was ended for taking too long.
    """
    with _failing_as("report", store), lent() as fence:
        try:
            told = _asked(fence, store, reads_input=True)
        except Died:  # of a file, which the process reads itself
            told = _asked(fence, store, reads_input=False)
    return Written(Path(told["page"]), tuple(told["summary"]))


def _asked(fence: Fence, store: Path, *, reads_input: bool) -> dict[str, Any]:
    given = {"store": str(store), "reads_input": reads_input}
    told: dict[str, Any] = fence.ask("stemdask.report.fenced:written", given, seconds=_SECONDS)[0]
    return told


def summed_up(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Sum up the run, behind the fence."""
    from stemdask.report import page

    inside.limit_memory(psutil.virtual_memory().total // 2, files=False)
    return {"summary": page.summary(given["store"])}, {}


def written(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Write the report, behind the fence."""
    from stemdask.report import page

    inside.limit_memory(psutil.virtual_memory().total // 2, files=False)
    target, summary = page.write_and_sum_up(given["store"], reads_input=given["reads_input"])
    return {"page": str(target), "summary": summary}, {}


@contextmanager
def _failing_as(what: str, store: Path) -> Iterator[None]:
    """Say what failed where the process behind the fence ends or raises."""
    try:
        yield
    except Overdue:
        raise _failed(what, store, f"took longer than {_SECONDS:g} s") from None
    except Died as death:
        raise _failed(what, store, death.cause()) from None
    except Raised as error:
        raise _failed(what, store, str(error)) from None


def _failed(what: str, store: Path, how: str) -> StemdaskError:
    repeats = "repeats only this step" if what == "report" else "shows them"
    return StemdaskError(
        f"the {what} failed: {how}",
        where=store,
        remedy=f"The results are complete; 'stemdask report' {repeats}",
    )
