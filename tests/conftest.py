"""Fixtures that the whole suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from stores import atoms_page as atoms_page
from stores import every_atoms_analysis as every_atoms_analysis
from stores import every_image_analysis as every_image_analysis
from stores import ideal_particle as ideal_particle
from stores import image_page as image_page

# The first example of a test may compile a kernel, and a loaded machine has no deadline.
settings.register_profile("stemdask", deadline=None)
settings.load_profile("stemdask")


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder with data/ and golden/, the results of other programs; it is too large for the repository."""
    folder = os.environ.get("STEMDASK_REFERENCE")
    if not folder:
        pytest.skip("STEMDASK_REFERENCE names no folder with the reference data")
    return Path(folder)
