from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "toys")]

from at_work import at_work  # noqa: E402
from fixtures import frames as frames  # noqa: E402
from fixtures import toys as toys  # noqa: E402
from fixtures import undisturbed as undisturbed  # noqa: E402
from private_htcondor import PrivateHTCondor, missing  # noqa: E402


@pytest.fixture(scope="session")
def htcondor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateHTCondor]:
    """A real HTCondor whose jobs know the toy analyses; skips with the reason where there can be none."""
    if reason := missing():
        pytest.skip(reason)
    with at_work(PrivateHTCondor(tmp_path_factory.mktemp("htcondor"))) as cluster:
        yield cluster
