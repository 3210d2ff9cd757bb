"""Runs to look at, and a browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stores
from fixtures import toys as toys
from looking import Opened

from stemdask import simulate

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over five drifting images of two domains, the third of which is noise."""
    folder = tmp_path_factory.mktemp("view_images")
    path = stores.write_stack(folder / "stack.npy", 5)
    pixels = np.load(path)
    pixels[2] = np.random.default_rng(1).normal(size=pixels[2].shape)
    np.save(path, pixels)
    return stores.run(path, folder / "images.zarr", {"displacement": {}, "registration": {}}, "0.0297 nm")


@pytest.fixture(scope="session")
def atoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over three frames of a turning particle whose atoms are tracked."""
    folder = tmp_path_factory.mktemp("view_atoms")
    trajectory = simulate.trajectory(simulate.nanocrystal(16.0), 3, sigma=0.05, rotation=2.0, n_exchanged=4, seed=1)
    path = stores.write_particles(folder / "moving.xyz", [trajectory.read(index) for index in range(3)])
    return stores.run(path, folder / "atoms.zarr", {"bond_order": {}, "tracks": {}})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("panel", reason="panel is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Open pages that are closed in the end, and complain where one complained or looked beyond this machine."""
    pages: list[Opened] = []

    def open_page(url: str, width: int = 1600) -> Opened:
        pages.append(Opened(browser.new_page(viewport={"width": width, "height": 1000}), url))
        return pages[-1]

    yield open_page
    for one in pages:
        one.page.close()
        assert one.complaints == []
        assert {re.sub(r"^blob:", "", url).split("/")[2].split(":")[0] for url in one.requests} == {"127.0.0.1"}
