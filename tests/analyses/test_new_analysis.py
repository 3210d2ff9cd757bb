"""A new analysis is its file, the file of its figures and a line of the registry; everything else follows."""

from __future__ import annotations

import re
from pathlib import Path

import brightness
import numpy as np
import pytest

import stemdask as sd
from stemdask import export, report
from stemdask.analyses import registry
from stemdask.planning import starter


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.TABLE, ("images", "brightness"), brightness.__name__)


@pytest.mark.usefixtures("known")
def test_a_new_analysis_is_configured_run_stored_shown_and_exported(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).uniform(1.0, 2.0, (3, 16, 16)).astype(np.float32)
    np.save(tmp_path / "f.npy", frames)
    store = sd.run(
        {
            "input": {"path": str(tmp_path / "f.npy")},
            "output": str(tmp_path / "f.zarr"),
            "analyses": {"brightness": {"scale": 2.0}, "preprocess": {"crop": [0, 0, 8, 16]}},
            "cluster": {"kind": "inline"},
            "limits": {"isolate": False},
        }
    )
    tree = sd.open_results(store)
    expected = 2.0 * frames[:, :8].mean(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(tree["brightness/mean"], expected, rtol=1e-6)
    page = report.write(store).read_text()
    assert re.search(r">Brightness of frame \d</h2>", page)
    assert ">Frame after frame</h2>" in page
    assert report.summary(store)[0] == "frame 0: bright"
    assert tree.stemdask.plot.brightness().axes[0].lines[0].get_ydata() == pytest.approx(expected)
    assert "brightness_mean" in (export.write(store, "csv", tmp_path / "csv") and _header(tmp_path / "csv/frames.csv"))
    assert '"brightness"' in starter.schema()


def _header(file: Path) -> str:
    return file.read_text().splitlines()[0].replace("/", "_")
