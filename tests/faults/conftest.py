"""The toy analyses, in this process and in those that it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOYS = Path(__file__).parents[1] / "toys"
sys.path.insert(0, str(TOYS))

import toy  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def toys() -> Iterator[None]:
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TOYS), before]))
    toy.install()
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
