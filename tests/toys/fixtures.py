"""The toy analyses, here and in the processes that are started, and what a run of them gives undisturbed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy

from stemdask.config.document import Document
from stemdask.engine import run as engine
from stemdask.fence import fence


@pytest.fixture(autouse=True, scope="module")
def toys() -> Iterator[None]:
    """Know the toys during the tests of one file."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), before]))
    toy.install()
    fence.close_free()
    yield
    toy.remove()
    fence.close_free()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def frames(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many frames as the file of tests says by FRAMES."""
    return toy.write_frames(tmp_path_factory.mktemp("input") / "frames.npy", request.module.FRAMES)


@pytest.fixture(scope="module")
def undisturbed(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes that an undisturbed run of the frames gives."""
    store = tmp_path_factory.mktemp("undisturbed") / "inline.zarr"
    engine.execute(Document(toy.config(frames, store)))
    return toy.contents(store)
