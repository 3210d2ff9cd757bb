"""Draw the pictures of the README and of the page on the viewer: ``python docs/make_pictures.py stemdask-demo``.

The folder is that of ``stemdask demo``. Pictures of the viewer need playwright and a Chromium that is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

import stemdask as sd

PICTURES = Path(__file__).with_name("_static")
#: Of a window of the viewer, px.
WINDOW = {"width": 1200, "height": 850}
#: How long the viewer may take over its page, ms.
_PATIENCE = 300_000
#: Leaves of the path of the input, which is one of this machine, the name of the file.
_NAME_ALONE = "line => { line.lastChild.textContent = line.lastChild.textContent.replace(/\\S*\\//, '') }"
FIGURES = {"images": "displacement", "atoms": "order"}


def draw(folder: Path, pictures: Path = PICTURES) -> None:
    """Draw a figure of each half of the demo."""
    for half, figure in FIGURES.items():
        tree = sd.open_results(folder / f"{half}.zarr")
        getattr(tree.stemdask.plot, figure)(frame=0).savefig(pictures / f"{half}.png", dpi=70)


def photograph_viewer(folder: Path, pictures: Path = PICTURES) -> None:
    """Take a picture of the viewer of each half of the demo."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for half in FIGURES:
            command = [sys.executable, "-m", "stemdask", "view", str(folder / f"{half}.zarr"), "--no-browser"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                assert server.stdout is not None
                found = re.search(r"http://\S+", server.stdout.readline())
                assert found is not None, "the viewer gave no address"
                _photograph(chromium, found[0], pictures / f"viewer-{half}.png")
                server.kill()  # it has written nothing, and an end in order takes its time
        chromium.close()


def _photograph(chromium: Any, url: str, picture: Path) -> None:
    window = chromium.new_page(viewport=WINDOW)
    window.set_default_timeout(_PATIENCE)
    window.goto(url)
    window.locator(".frames").wait_for()
    window.wait_for_function("Bokeh.documents.length && Bokeh.documents[0].is_idle")
    window.locator("p.frame").evaluate(_NAME_ALONE)
    window.wait_for_timeout(2000)
    window.screenshot(path=picture)
    window.close()
    with Image.open(picture) as taken:
        taken.quantize(256).save(picture, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
    photograph_viewer(Path(sys.argv[1]))
