"""Runs under a real HTCondor: the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy
from private_htcondor import PrivateHTCondor
from told import same

from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.results import reader

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

FRAMES = 48


def cluster(**changes: Any) -> dict[str, Any]:
    small = {"interface": "lo", "memory": "1200 MiB", "walltime": "00:10:00", "poll_seconds": 1, "workers_timeout": 120}
    return {"kind": "htcondor", "workers": 2} | small | changes


@pytest.mark.parametrize("more", [{}, {"workers": 4, "workers_per_job": 2}], ids=["two", "two_a_job"])
def test_a_run_on_htcondor_gives_the_bytes_of_an_inline_one(
    htcondor: PrivateHTCondor,
    frames: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    more: dict[str, Any],
    record_property: Callable[[str, object], None],
) -> None:
    store = tmp_path / "htcondor.zarr"
    outcome = engine.execute(Document(toy.config(frames, store, cluster(**more))))
    assert outcome.complete
    assert toy.contents(store) == undisturbed
    record_property("figure", same(f"HTCondor, {more.get('workers', 2)} workers in two jobs", undisturbed))
    assert all(" job " in place for place in set(reader.open_results(store)["frames"]["worker"].values))
    assert htcondor.jobs() == []
