"""An image that takes its reader down when it is to be shown costs nothing but itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import toy

from stemdask.engine.run import run
from stemdask.errors import InputError
from stemdask.fence.fence import close_free
from stemdask.results import reader
from stemdask.results.views import Results
from stemdask.view.reading import Frames

pytestmark = pytest.mark.processes

#: Of every Python that is started: a source of one frame, as which one is read to be shown, takes its process down.
_CRASHING = """\
import os
from stemdask.sources.images.source import ImageSource
read = ImageSource.read
ImageSource.read = lambda self, index: os.abort() if self.n_frames == 1 else read(self, index)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return run(toy.config(toy.write_frames(tmp_path / "f.npy", 3), tmp_path / "o.zarr", limits={"isolate": False}))


@pytest.fixture
def crashing_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "crashing"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_CRASHING)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ["PYTHONPATH"]]))
    over = threading.Event()
    threading.Thread(target=over.wait).start()  # with which the process behind the fence is a Python of its own
    close_free()
    yield
    over.set()
    close_free()


def test_an_image_is_read_to_be_shown_as_it_was_analysed(store: Path) -> None:
    pixels = np.load(store.parent / "f.npy")
    results = Results(reader.open_results(store))
    for index in (2, 0):
        image = results.needed_image(index)
        assert (image.index, image.pixel_size, image.calibrated) == (index, (0.02, 0.02), True)
        assert (image.pixels == pixels[index]).all()
        image.pixels[0] = 1  # figures may
    assert results.image(3) is None


def test_an_image_that_crashes_its_reader_is_not_shown_and_harms_nothing_else(
    store: Path, crashing_reader: None
) -> None:
    results = Results(reader.open_results(store))
    assert results.image(1) is None
    with pytest.raises(InputError, match=r"f\.npy: its reader crashed: its process was ended by SIGABRT"):
        results.read_image(1)
    seen = Frames(store).image(1)
    assert seen.image is None
    assert "f.npy: its reader crashed" in seen.trouble
