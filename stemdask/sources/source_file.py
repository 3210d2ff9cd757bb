"""A file of a source, as a task carries it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SourceFile(BaseModel):
    """One file, and by what a worker knows that it is still the one that was planned."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    """Bytes."""
    digest: str
