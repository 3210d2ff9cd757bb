from __future__ import annotations

from pathlib import Path

import pytest

from stemdask.config.clusters import Batch, Inline
from stemdask.engine.ending import told
from stemdask.engine.signals import Stop

pytestmark = pytest.mark.processes


def _cluster(command: str) -> Batch:
    return Batch(kind="slurm").model_copy(update={"on_end": command})


def test_the_command_learns_what_became_of_which_store(tmp_path: Path) -> None:
    cluster = _cluster(f'echo "$STEMDASK_STORE: $STEMDASK_ENDED" >{tmp_path}/said')
    with told(cluster, Path("/a.zarr"), Stop()):
        pass
    assert (tmp_path / "said").read_text() == "/a.zarr: complete\n"
    with pytest.raises(ValueError, match="no disk"), told(cluster, Path("/a.zarr"), Stop()):
        raise ValueError("no disk")
    assert (tmp_path / "said").read_text() == "/a.zarr: no disk\n"


def test_a_command_that_fails_changes_nothing_of_the_run(caplog: pytest.LogCaptureFixture) -> None:
    with told(_cluster("echo oh >&2; exit 3"), Path("/a.zarr"), Stop()):
        pass
    assert "on_end ended with 3: oh" in caplog.text
    with told(Inline(), Path("/a.zarr"), Stop()):
        pass
