"""The toy analyses, in this process and in those that it starts, for the tests that ask for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy

from stemdask.fence import fence


@pytest.fixture(autouse=True, scope="module")
def toys() -> Iterator[None]:
    """Know the toys during the tests of one file."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), before]))
    toy.install()
    fence.close_shared()
    yield
    toy.remove()
    fence.close_shared()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
