from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOYS = HERE.parent / "toys"
sys.path[:0] = [str(HERE), str(TOYS)]

import toy  # noqa: E402
from fixtures import frames as frames  # noqa: E402
from fixtures import toys as toys  # noqa: E402
from fixtures import undisturbed as undisturbed  # noqa: E402
from private_htcondor import PrivateHTCondor, missing  # noqa: E402


@pytest.fixture(scope="session")
def htcondor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateHTCondor]:
    """A real HTCondor whose jobs know the toy analyses; skips with the reason where there can be none."""
    if reason := missing():
        pytest.skip(reason)
    cluster = PrivateHTCondor(tmp_path_factory.mktemp("htcondor"))
    before = {name: os.environ.get(name) for name in (*cluster.environment, "PYTHONPATH")}
    try:
        cluster.start()
        toy.install()
        folders = [str(TOYS), before["PYTHONPATH"]]
        os.environ |= cluster.environment | {"PYTHONPATH": os.pathsep.join(filter(None, folders))}
        yield cluster
    finally:
        cluster.stop()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
