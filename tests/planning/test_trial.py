"""Frames that are tried before a run: what becomes of them, and what their messages advise."""

from __future__ import annotations

from typing import Any, cast

from stemdask.fence.fence import Fence, Overdue
from stemdask.model import Source
from stemdask.planning.trial import Trial


def test_a_frame_that_takes_too_long_may_be_one_whose_kernels_are_compiled() -> None:
    class Slow:
        def ask(self, *arguments: Any, **options: Any) -> None:
            raise Overdue

    trial = Trial(cast(Source, object()), (), seconds=60.0)
    trial._fence, trial._is_loaded = cast(Fence, Slow()), True
    error = trial.frame(0).error
    assert error.startswith("took longer than ")
    assert "run it again: those compiled are kept" in error
