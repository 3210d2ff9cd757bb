"""The viewer in JupyterLab: shown in a notebook, moved and clicked, without a request beyond this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from looking import Opened

import stemdask as sd

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.timeout(900)]


class InLab(Opened):
    """A notebook of JupyterLab that shows the viewer; what JupyterLab itself complains of doesn't count."""

    def _wait(self) -> None:
        self.page.set_default_timeout(300_000)
        self.page.locator(".jp-Notebook .jp-Cell").first.click()
        self.page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        self.page.get_by_text("Run", exact=True).first.click()
        self.page.get_by_text("Run All Cells", exact=True).first.click()
        self.page.locator(".frames input").first.wait_for()

    def _hear(self, message: Any) -> None:
        pass


@contextmanager
def jupyterlab(folder: Path, code: str) -> Iterator[str]:
    """Serve a folder with a notebook of one cell; yield the address of the notebook."""
    cell = {"cell_type": "code", "id": "a", "execution_count": None, "metadata": {}, "outputs": [], "source": code}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "seen.ipynb").write_text(json.dumps(notebook))
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
    options += [f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=known"]
    with (folder / "lab.log").open("wb") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], stdout=said, stderr=said, env=os.environ | own, cwd=folder
        )
        try:
            toy.wait_until(lambda: re.search(rb":\d+/lab\?", (folder / "lab.log").read_bytes()), 600)
            port = re.search(r"127\.0\.0\.1:(\d+)/lab\?", (folder / "lab.log").read_text())
            assert port is not None
            yield f"http://127.0.0.1:{port[1]}/lab/tree/seen.ipynb?token=known"
        finally:
            server.terminate()
            server.wait(60)


def test_jupyterlab_shows_frames_and_what_is_clicked(browser: Any, images: Path, tmp_path: Path) -> None:
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
    code = f"import stemdask as sd\nsd.open_results({str(images)!r}).stemdask.view()"
    found = sd.open_results(images)["columns"].to_dataset().isel(frame=1)
    k = int(np.flatnonzero(np.isfinite(found.y) & (found.sublattice == 1))[7])
    with jupyterlab(tmp_path, code) as url:
        page = browser.new_page(viewport={"width": 1600, "height": 1400})
        seen = InLab(page, url)
        first = seen.sees()
        seen.go(1)
        seen.wait_for(lambda: seen.sees() != first)
        seen.click_map(float(found.y[k]), float(found.x[k]))
        seen.wait_for(lambda: f"Column {k} of frame 1" in seen.text())
        assert seen.values()["columns/reduced_chi2"] == f"{float(found.reduced_chi2[k]):.4g}"
        page.close()
    assert seen.complaints == []
    addresses = {re.sub(r"^blob:", "", one) for one in seen.requests if not one.startswith("data:")}
    assert {one.split("/")[2].split(":")[0] for one in addresses} == {"127.0.0.1"}
