"""Writing the report of a run behind the fence: by the process that has read the input, which is opened once more."""

from __future__ import annotations

from collections.abc import Mapping
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
    try:
        with lent() as fence:
            try:
                told = _asked(fence, store, reads_input=True)
            except Died:  # of a file, which the process reads itself
                told = _asked(fence, store, reads_input=False)
    except Overdue:
        raise _failed(store, f"took longer than {_SECONDS:g} s") from None
    except Died as death:
        raise _failed(store, death.cause()) from None
    except Raised as error:
        raise _failed(store, str(error)) from None
    return Written(Path(told["page"]), tuple(told["summary"]))


def _asked(fence: Fence, store: Path, *, reads_input: bool) -> dict[str, Any]:
    given = {"store": str(store), "reads_input": reads_input}
    told: dict[str, Any] = fence.ask("stemdask.report.fenced:written", given, seconds=_SECONDS)[0]
    return told


def written(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Write the report, behind the fence."""
    from stemdask.report import page

    inside.limit_memory(psutil.virtual_memory().total // 2, files=False)
    target, summary = page.write_and_sum_up(given["store"], reads_input=given["reads_input"])
    return {"page": str(target), "summary": summary}, {}


def _failed(store: Path, how: str) -> StemdaskError:
    return StemdaskError(
        f"the report failed: {how}",
        where=store,
        remedy="The results are complete; 'stemdask report' repeats only this step",
    )
