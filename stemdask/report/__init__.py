"""One self-contained HTML file with the figures and the numbers of a store."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemdask.report.page import summary, write

__all__ = ["summary", "write"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: whoever has the page written behind the fence needs none of what it is drawn with.
    if name not in __all__:
        raise AttributeError(f"module 'stemdask.report' has no attribute {name!r}")
    return getattr(import_module("stemdask.report.page"), name)
