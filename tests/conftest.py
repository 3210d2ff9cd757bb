"""Fixtures that the whole suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder with data/ and golden/, the results of other programs; it is too large for the repository."""
    folder = os.environ.get("STEMDASK_REFERENCE")
    if not folder:
        pytest.skip("STEMDASK_REFERENCE names no folder with the reference data")
    return Path(folder)
