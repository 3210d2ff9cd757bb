"""The six reports that the site shows, in a browser at three widths: silent, whole, and open to everyone."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import BROWSER, OBJECTIONS, axe_core, needs_axe, needs_browser

_PLACE = Path(__file__).parents[2] / "docs" / "report_examples.py"
_SPEC = importlib.util.spec_from_file_location("report_examples", _PLACE)
assert _SPEC is not None
assert _SPEC.loader is not None
examples = sys.modules["report_examples"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(examples)

pytestmark = [pytest.mark.processes, needs_browser]

#: What every one of these pages says, each in its own way; a page that says something else isn't the one meant.
SAYS = {
    "bto": "BTO_crystal_1",
    "wall": "50 frames",
    "no_pixel_size": "px",
    "failed": "9 of 12 frames are good, 3 failed",
    "stages": "4 frames",
    "melt": "40 frames",
}
#: Whether the page, and each picture that its sliders show, is no wider than its window.
_FITS = """() => {
    const wide = () => document.documentElement.scrollWidth - innerWidth;
    const found = [wide()];
    document.querySelectorAll("details").forEach((one) => { one.open = true; });
    found.push(wide());
    for (const slider of document.querySelectorAll("input[type=range]"))
        for (const value of [slider.min, slider.max]) {
            slider.value = value;
            slider.dispatchEvent(new Event("input"));
            found.push(wide());
        }
    return Math.max(...found);
}"""
_BROKEN = "() => [...document.images].filter((one) => !one.complete || !one.naturalWidth).map((one) => one.alt)"
_UNTOLD = "() => [...document.images].filter((one) => one.alt.length < 20).length"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module", params=examples.EXAMPLES, ids=lambda example: example.name)
def page(request: pytest.FixtureRequest, chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    example = request.param
    if example.name == "bto":
        image = request.getfixturevalue("reference") / "data" / "BTO_crystal_1.dm4"
        if not image.exists():
            pytest.skip(f"{image} doesn't exist")
    folder: Path = tmp_path_factory.mktemp(example.name)
    examples.make_report(example, folder / "made", folder / f"{example.name}.html")
    return folder / f"{example.name}.html"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_axe
@pytest.mark.parametrize("width", examples.WIDTHS)
def test_a_report_is_silent_asks_for_nothing_and_fits_its_window(page: Path, width: int, chromium: Any) -> None:
    window = chromium.new_page(viewport={"width": width, "height": examples.HEIGHT})
    window.set_default_timeout(300_000)
    complaints = examples.listen(window)
    window.goto(page.as_uri())
    assert SAYS[page.stem] in window.locator("body").inner_text()
    assert window.evaluate(_FITS) <= 0
    assert window.evaluate(_BROKEN) == []
    assert window.evaluate(_UNTOLD) == 0
    assert complaints == []
    window.evaluate(axe_core())
    assert window.evaluate(OBJECTIONS) == []
    window.close()


@pytest.mark.long
def test_a_page_that_complains_or_asks_the_network_ends_the_site(tmp_path: Path) -> None:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    faults = "<script>console.warn('deprecated'); setTimeout(() => { throw new Error('undefined'); });</script>"
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><title>x</title>{faults}<img src='http://127.0.0.1:9/x.png' alt=''>")
    told = pytest.raises(RuntimeError, match=r"page.html in a window of 400 px")
    with told as raised, examples.browser() as photograph:
        photograph(page, tmp_path / "page.png", 400)
    for complaint in ("warning: deprecated", "undefined", "request: http://127.0.0.1:9/x.png"):
        assert complaint in str(raised.value)
