"""What Dask would keep of every task for as long as its scheduler lives, forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def forget_metadata(scheduler: Any) -> None:
    """Have a scheduler keep no description of what each task was part of: it would throw none away."""
    from distributed import spans

    base: Any = spans.SpansSchedulerExtension

    class Forgetful(base):  # type: ignore[misc]
        def observe_tasks(self, tss: Iterable[Any], code: Any, span_metadata: Any) -> Mapping[Any, Any]:
            found: Mapping[Any, Any] = super().observe_tasks(tss, code=(), span_metadata=None)
            return found

    scheduler.extensions["spans"] = Forgetful(scheduler)


def forget_keys() -> None:
    """Have this process forget how it split keys: it would remember a hundred thousand."""
    from dask.utils import key_split

    key_split.cache_clear()
